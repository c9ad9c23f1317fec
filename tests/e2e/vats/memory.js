import { E, Far } from '@endo/far';

/* Much of what it is lives in the heap only: closures, a Map and a WeakMap, a generator half-way, a function that
 * waits, a promise that it still owes, objects that others hold. step() asks all of it and moves it on. */
export const buildRootObject = ({ VatData }, _parameters, baggage) => {
  const visits = (baggage.has('visits') ? baggage.get('visits') : 0) + 1;
  if (baggage.has('visits')) baggage.set('visits', visits);
  else baggage.init('visits', visits);

  let n = 0;
  const up = by => { n += by; return n; };
  const map = new Map();
  const weak = new WeakMap();
  const keys = [{}, {}, {}];
  keys.forEach((key, i) => weak.set(key, { i }));
  function* counting() { for (let i = 1; ; i *= 3) yield i; }
  const counter = counting();
  const stored = VatData.makeScalarBigMapStore('stored');
  const said = [];
  let wake;
  const sleeps = async () => {
    for (let i = 0; ; i += 1) {
      // eslint-disable-next-line no-await-in-loop
      const by = await new Promise(resolve => { wake = resolve; });
      said.push(`woken ${i} by ${by}`);
    }
  };
  void sleeps();
  let owed;
  const ephemerals = [];

  return Far('memory', {
    step: by => {
      map.set(`key ${by}`, n);
      keys.forEach(key => { weak.get(key).i += by; });
      if (stored.has(`${by % 4}`)) stored.set(`${by % 4}`, n);
      else stored.init(`${by % 4}`, n);
      wake(by);
      return [up(by), [...map].join(), keys.map(key => weak.get(key).i).join(), counter.next().value,
        [...stored.entries()].join(), said.join()].join(' | ');
    },
    owe: () => new Promise(resolve => { owed = resolve; }),
    pay: value => owed(value),
    make: () => {
      const at = ephemerals.length;
      ephemerals.push(Far('ephemeral', { ask: () => `${at} of ${ephemerals.length} at ${n}` }));
      return ephemerals[at];
    },
    visits: () => visits,
    loop: () => { for (;;); },
  });
};
