import { Far } from '@endo/far';

export function buildRootObject(_vatPowers, vatParameters, _baggage) {
  let n = 0;
  return Far('root', {
    ping() {
      n += 1;
      return n;
    },
    echo(x) {
      return x;
    },
    params() {
      return vatParameters;
    },
  });
}
