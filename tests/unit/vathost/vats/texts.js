/* global Base64 */
import { Far } from '@endo/far';

export function buildRootObject(_powers, _params, baggage) {
  return Far('root', {
    echo(x) {
      return x;
    },
    units(s) {
      return [...Array(s.length).keys()].map(i => s.charCodeAt(i));
    },
    make(...units) {
      return String.fromCharCode(...units);
    },
    keep(key, value) {
      baggage.init(key, value);
    },
    read(key) {
      return baggage.get(key);
    },
    encode(s) {
      return [...new TextEncoder().encode(s)];
    },
    decode(s) {
      return [...new Uint8Array(Base64.decode(s))];
    },
    keys() {
      return [...baggage.keys()];
    },
  });
}
