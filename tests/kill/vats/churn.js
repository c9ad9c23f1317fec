// Objects made here, held there, used once, let go: nothing of them may stay.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let other;
  const held = new Map();
  return Far('churn', {
    meet: peer => {
      other = peer;
    },
    ping: () => 'churn',
    // Gives the other N objects, and takes away those of an earlier time.
    swap: async (op, n, before) => {
      let pokes = 0;
      const things = Array.from({ length: n }, (_, i) =>
        Far('thing', {
          poke: () => {
            pokes += 1;
            return i;
          },
        }),
      );
      const sum = await E(other).hold(op, things);
      const dropped = before ? await E(other).drop(before) : 0;
      return harden([pokes, sum, dropped]);
    },
    hold: async (op, things) => {
      held.set(op, things);
      const all = await Promise.all(things.map(thing => E(thing).poke()));
      return all.reduce((a, b) => a + b, 0);
    },
    drop: op => {
      const gone = held.get(op);
      held.delete(op);
      return gone ? gone.length : 0;
    },
    weigh: text => [text.length, `${text.slice(0, 8)}${text}`],
    state: () => harden({ held: held.size }),
  });
};
