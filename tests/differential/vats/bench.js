/* A vat that is told, step by step, what to hold and what to let go: the scenarios and the random runs
 * are lists of such steps. RAM is a table of named cells; a step that does not fit the value in its
 * cell throws, and the message is rejected. */
/* global globalThis, harden */
import { E, Far } from '@endo/far';
import { M } from '@endo/patterns';

const {
  defineKind, defineKindMulti, makeKindHandle, defineDurableKind, defineDurableKindMulti, watchPromise,
  makeScalarBigMapStore, makeScalarBigWeakMapStore, makeScalarBigSetStore, makeScalarBigWeakSetStore, canBeDurable,
} = globalThis.VatData;

const boxState = (x = undefined, y = undefined) => ({ x, y });
const boxMethods = {
  put: ({ state }, prop, value) => { state[prop] = value; },
  get: ({ state }, prop) => state[prop],
};
const facets = {
  a: { ...boxMethods, other: ({ facets: { b } }) => b },
  b: { ...boxMethods, other: ({ facets: { a } }) => a },
};
const watcherMethods = log => ({
  onFulfilled: ({ state }, value, ...args) => {
    log(['fulfilled', value, ...args]);
    state.x = undefined;
    return value;
  },
  onRejected: (_context, reason, ...args) => {
    log(['rejected', reason, ...args]);
    throw reason;
  },
});

export const buildRootObject = (vatPowers, parameters, baggage) => {
  if (parameters.start === 'throw') throw Error('no');
  if (parameters.start === 'never') return new Promise(() => {});
  if (parameters.start === 'no root') return {};
  if (parameters.start === 'virtual root') return defineKind('root', () => ({}), { hello: () => 1 })();
  if (parameters.start === 'later') return Promise.resolve().then(() => Far('late', { hello: () => 'late' }));
  if (parameters.start === 'undefined kind') {
    makeKindHandle('never defined');
    return Far('root', {});
  }
  const news = [];
  const watched = watcherMethods(it => news.push(it));

  const handles = {};
  for (const name of ['dbox', 'dkit', 'dstate', 'dwatcher']) {
    const key = `${name} handle`;
    if (!baggage.has(key)) baggage.init(key, makeKindHandle(name));
    handles[name] = baggage.get(key);
  }
  const makers = {
    heap: () => Far('heap', { get: () => 'heap' }),
    data: () => harden({ some: ['data', 1n, null] }),
    vbox: defineKind('vbox', boxState, boxMethods),
    vkit: defineKindMulti('vkit', boxState, facets),
    dbox: defineDurableKind(handles.dbox, boxState, boxMethods),
    dkit: defineDurableKindMulti(handles.dkit, boxState, facets),
    dstate: defineDurableKind(handles.dstate, boxState, boxMethods, {
      stateShape: { x: M.or(M.undefined(), M.remotable(), M.number()), y: M.any() },
    }),
    vfinished: defineKind('vfinished', boxState, boxMethods, {
      finish: ({ state, self }) => {
        state.x = self; // a cycle, which reference counts never free
        state.x = undefined;
      },
    }),
    vmarker: defineKindMulti('vmarker', () => ({}), { a: { noOp: () => 0 }, b: { noOp: () => 1 } }),
    vwatcher: defineKind('vwatcher', boxState, watched),
    dwatcher: parameters.forget ? undefined : defineDurableKind(handles.dwatcher, boxState, watched),
  };
  for (const [letter, options] of [['v', {}], ['d', { durable: true }]]) {
    makers[`${letter}map`] = () => makeScalarBigMapStore('map', options);
    makers[`${letter}weakmap`] = () => makeScalarBigWeakMapStore('weakmap', options);
    makers[`${letter}set`] = () => makeScalarBigSetStore('set', options);
    makers[`${letter}weakset`] = () => makeScalarBigWeakSetStore('weakset', options);
    makers[`${letter}shaped`] = () =>
      makeScalarBigMapStore('shaped', { ...options, keyShape: M.string(), valueShape: M.or(M.remotable(), M.number()) });
  }
  const makeOnly = { vmap: makeScalarBigMapStore, dmap: makeScalarBigMapStore, vset: makeScalarBigSetStore, dset: makeScalarBigSetStore };

  const cells = new Map();
  let ramWeakMap = new WeakMap();
  let ramWeakSet = new WeakSet();
  const kits = new Map();
  const get = name => {
    if (!cells.has(name)) throw Error(`cell ${name} is empty`);
    return cells.get(name);
  };
  const set = (name, value) => { cells.set(name, value); };

  const steps = {
    /* RAM */
    make: (kind, name) => set(name, makers[kind]()),
    makeKit: (kind, ...names) => {
      const kit = makers[kind]();
      names.forEach((name, i) => name && set(name, kit['ab'[i]]));
    },
    makeOnly: (kind, name, only) => {
      const shape = kind.endsWith('map') ? 'valueShape' : 'keyShape';
      set(name, makeOnly[kind]('only', { durable: kind[0] === 'd', [shape]: get(only) }));
    },
    hold: (name, value) => set(name, value),
    copy: (from, to) => set(to, get(from)),
    drop: (...names) => names.forEach(name => cells.delete(name)),
    give: (...names) => (names.length === 1 ? get(names[0]) : names.map(get)),
    same: (one, two) => get(one) === get(two),
    facet: (name, to) => set(to, get(name).other()),
    giveOther: name => get(name).other(),
    holdOther: (name, value) => set(name, value.other()),

    /* virtual and durable state; `baggage` */
    put: (box, prop, name) => get(box).put(prop, name === null ? undefined : get(name)),
    fetch: (box, prop, to) => set(to, get(box).get(prop)),
    remember: (key, name) => (baggage.has(key) ? baggage.set(key, get(name)) : baggage.init(key, get(name))),
    recall: (key, to) => set(to, baggage.get(key)),
    forget: key => baggage.delete(key),
    durable: name => canBeDurable(get(name)),

    /* collections: cells as keys and values, then plain data */
    has: (store, key) => get(store).has(get(key)),
    add: (store, key) => get(store).add(get(key)),
    init: (store, key, value) => get(store).init(get(key), get(value)),
    set: (store, key, value) => get(store).set(get(key), get(value)),
    take: (store, key, to) => set(to, get(store).get(get(key))),
    remove: (store, key) => get(store).delete(get(key)),
    hasData: (store, key) => get(store).has(key),
    addAll: (store, keys) => get(store).addAll(keys),
    addData: (store, ...keys) => keys.forEach(key => get(store).add(key)),
    initData: (store, key, value) => get(store).init(key, value),
    setData: (store, key, value) => get(store).set(key, value),
    putData: (store, key, name) => get(store).init(key, get(name)),
    getData: (store, key) => get(store).get(key),
    takeData: (store, key, to) => set(to, get(store).get(key)),
    removeData: (store, key) => get(store).delete(key),
    keys: (store, pattern) => [...get(store).keys(pattern)],
    entries: (store, ...patterns) => [...get(store).entries(...patterns)],
    between: (store, low, high) => [...get(store).keys(M.and(M.gte(low), M.lte(high)))],
    size: store => get(store).getSize(),
    clear: (store, ...patterns) => get(store).clear(...patterns),
    snapshot: store => get(store).snapshot(),
    pick: (store, to) => set(to, [...get(store).keys()][0]),
    removeWhile: store => {
      for (const key of get(store).keys()) get(store).delete(key);
    },
    addWhile: store => {
      for (const key of get(store).keys()) get(store).add(`${key}+`);
    },

    /* liveslots' WeakMap and WeakSet, in RAM */
    weak: name => {
      ramWeakMap.set(get(name), name);
      ramWeakSet.add(get(name));
    },
    isWeak: name => [ramWeakMap.get(get(name)), ramWeakSet.has(get(name))],
    weakTo: (key, value) => { ramWeakMap.set(get(key), get(value)); },
    newWeak: () => {
      ramWeakMap = new WeakMap();
      ramWeakSet = new WeakSet();
    },
    unweak: name => [ramWeakMap.delete(get(name)), ramWeakSet.delete(get(name))],

    /* promises and messages */
    promise: name => {
      set(name, new Promise((resolve, reject) => kits.set(name, { resolve, reject })));
      get(name).catch(() => {});
    },
    settle: (name, to) => kits.get(name).resolve(get(to)),
    reject: (name, reason) => kits.get(name).reject(reason instanceof Object ? reason : Error(reason)),
    send: (target, method, args, to) => {
      const answer = E(get(target))[method](...args.map(get));
      answer.catch(() => {});
      if (to) set(to, answer);
    },
    sendData: (target, method, ...args) => {
      E(get(target))[method](...args).catch(() => {});
    },
    sendOnly: (target, method, args) => { E.sendOnly(get(target))[method](...args.map(get)); },
    apply: (target, args, to) => set(to, E(get(target))(...args.map(get))),
    wait: async name => ['waited', await get(name)],
    watch: (name, watcher, ...args) => { watchPromise(get(name), get(watcher), ...args.map(get)); },
    news: () => {
      const all = [...news];
      news.length = 0;
      return harden(all);
    },

    /* trouble */
    fail: text => { throw Error(text); },
    failData: value => { throw value; },
    unpassable: () => ({ method: () => {} }),
    log: (...args) => vatPowers.testLog(...args),
    exit: text => vatPowers.exitVat(text),
    exitWithFailure: text => vatPowers.exitVatWithFailure(Error(text)),
    parameters: () => parameters,
  };

  return Far('bench', {
    ...steps,
    /* Several steps in one crank; the answer of the last. */
    all: list => {
      let answer;
      for (const [step, ...args] of list) answer = steps[step](...args);
      return answer;
    },
    /* The same, but a step that throws does not stop the others. */
    each: list =>
      list.map(([step, ...args]) => {
        try {
          steps[step](...args);
          return 'ok';
        } catch (e) {
          return e.message;
        }
      }),
    /* As `all`, one step a turn. */
    turns: async list => {
      let answer;
      for (const [step, ...args] of list) answer = await steps[step](...args);
      return answer;
    },
  });
};
