/* A vat that grows as it is told: durable objects, or plain ones on its heap. */
/* global globalThis */
import { Far } from '@endo/far';

const { defineDurableKind, makeKindHandle, makeScalarBigMapStore } = globalThis.VatData;

export const buildRootObject = (_vatPowers, _parameters, baggage) => {
  const handle = makeKindHandle('counter');
  baggage.init('counter handle', handle);
  const makeCounter = defineDurableKind(handle, name => ({ name, count: 0 }), {
    incr: ({ state }) => { state.count += 1; return state.count; },
  });
  const counters = makeScalarBigMapStore('counters', { durable: true });
  baggage.init('counters', counters);
  const held = new Map();
  return Far('root', {
    ping: () => 'pong',
    make: (from, to) => {
      for (let i = from; i < to; i += 1) counters.init(i, makeCounter(`counter ${i}`));
    },
    incr: i => counters.get(i).incr(),
    hold: (from, to) => {
      for (let i = from; i < to; i += 1) held.set(`key ${i}`, { i, text: `the text of entry ${i}`, list: [i, `${i * 7}`, i * 0.5] });
    },
  });
};
