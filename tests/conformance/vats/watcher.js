// Watches promises of others and of its own, with a watcher for all and with objects that hear only of one outcome; and goes
// on with it in its next incarnation.
import { E, Far } from '@endo/far';
import { defineDurableKindMulti, provideKindHandle, providePromiseWatcher, watchPromise } from '@agoric/vat-data';

const makeKit = () => {
  const kit = {};
  kit.promise = new Promise((resolve, reject) => Object.assign(kit, { resolve, reject }));
  return kit;
};

export const buildRootObject = (_vatPowers, { version }, baggage) => {
  const log = text => console.log(text);
  const resolved = (way, tail) => (value, tag, ...words) => log(`${tag} resolved ${value} version ${version} via ${way}${tail(words)}`);
  const rejected = (way, tail) => (reason, tag, ...words) =>
    log(`${tag} rejected ${JSON.stringify(reason)} version ${version} via ${way}${tail(words)}`);
  const all = words => ` [${words.join(',')}]`;
  const none = () => '';
  const of = kind => () => kind;

  const watcher = providePromiseWatcher(
    provideKindHandle(baggage, 'watcher'),
    resolved('watcher', all),
    rejected('watcher', all),
  );
  const unbound = listen => (_context, ...args) => listen(...args);
  const makeEars = defineDurableKindMulti(provideKindHandle(baggage, 'ears'), () => ({}), {
    full: { onFulfilled: unbound(resolved('VDO', none)), onRejected: unbound(rejected('VDO', none)) },
    res: { onFulfilled: unbound(resolved('VDO', of(' (res)'))) },
    rej: { onRejected: unbound(rejected('VDO', of(' (rej)'))) },
  });

  return Far('root', {
    watch(other, ...promises) {
      const ears = makeEars();
      const own = promises.map(makeKit);
      const answers = [
        [true, true],
        [false, true],
        [true, false],
        [false, false],
      ].map(how => E(other).answer(...how));
      const words = [[], ['a'], ['b', 'c'], ['d', 'e', 'f']];
      promises.forEach((promise, n) => watchPromise(promise, watcher, `p${n + 1}-pw`, ...words[n]));
      promises.forEach((promise, n) => {
        for (const facet of ['full', 'res', 'rej']) watchPromise(promise, ears[facet], `p${n + 1}-dk.${facet}`);
      });
      own.forEach(({ promise }, n) => watchPromise(promise, watcher, `lp${n + 1}-pw`));
      own.forEach(({ promise }, n) => watchPromise(promise, ears.full, `lp${n + 1}-dk`));
      answers.forEach((promise, n) => watchPromise(promise, watcher, `rp${n + 1}-pw`));
      answers.forEach((promise, n) => watchPromise(promise, ears.full, `rp${n + 1}-dk`));
      own[0].resolve('lval1');
      own[1].reject('lerr2');
    },
    // replay, external termination
    count: (() => {
      let count = 0;
      return by => (count += by);
    })(),
  });
};
