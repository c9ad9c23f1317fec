// Fails at the moment that its source was made for: WHEN and WHAT are set in a copy of it.
import { Far } from '@endo/far';

const WHEN = 'never';
const WHAT = 'throw';

const fail = when => {
  if (when !== WHEN) return;
  if (WHAT === 'throw') throw Error(`from ${when}`);
  Promise.reject(Error(`from ${when}`));
};

console.log(`${WHEN} ${WHAT}`);
fail('global scope');

export const buildRootObject = () => {
  console.log('buildRootObject');
  fail('buildRootObject');
  return Far('root', {
    bootstrap() {
      console.log('bootstrap');
      fail('bootstrap');
      return 'done';
    },
  });
};
