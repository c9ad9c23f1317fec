// A vat that comes and goes, and gets new code meanwhile: what is durable counts on, what is in the heap begins again.
import { E, Far } from '@endo/far';
import { provide } from '@agoric/vat-data';

export const buildRootObject = (_powers, { version, throws }, baggage) => {
  if (throws) throw Error('this code is broken');
  provide(baggage, 'durable', () => 0);
  let heap = 0;
  return Far('guest', {
    ping: () => 'guest',
    bootstrap: (_vats, { out }) => {
      if (out) baggage.init('out', out);
      return 'here';
    },
    bump: () => {
      heap += 1;
      baggage.set('durable', baggage.get('durable') + 1);
      return harden([version, baggage.get('durable'), heap]);
    },
    write: text =>
      E(baggage.get('out')).write(text).then(
        () => 'written',
        e => `${e.message}`,
      ),
    hang: () => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1),
  });
};
