import { Far } from '@endo/far';
import { makeScalarBigMapStore, prepareExoClass, provide } from '@agoric/vat-data';

/* A vat with a durable counter, an object that is not durable, and a promise it never settles. VERSION
 * is what the code says of itself; FLAWS are what is wrong with it. */
export const makeBuild = (version, flaws = {}) => (_vatPowers, parameters, baggage) => {
  if (flaws.throws) throw Error('this code is broken');
  if (flaws.loops) for (;;);
  if (flaws.hangs) Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);
  const counters = provide(baggage, 'counters', () => makeScalarBigMapStore('counters', { durable: true }));
  const makeCounter = flaws.forgets
    ? undefined
    : prepareExoClass(baggage, 'Counter', undefined, () => ({ count: 0 }), {
      incr() {
        this.state.count += 1;
        return [version, this.state.count];
      },
    });
  const log = [];
  return Far('root', {
    version: () => version,
    parameters: () => parameters,
    makeCounter: name => {
      const counter = makeCounter();
      counters.init(name, counter);
      return counter;
    },
    getCounter: name => counters.get(name),
    makeEphemeral: () => Far('ephemeral', { hello: () => version }),
    never: () => new Promise(() => {}),
    note: text => {
      log.push(text);
      return log.length;
    },
  });
};
