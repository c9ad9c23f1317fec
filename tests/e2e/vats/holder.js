// Makes things of every strength, gives them to others, and holds what it is given in every way there is.
// What is held under a name is let go by that name; nothing else here keeps anything.
import { E, Far } from '@endo/far';
import {
  defineDurableKind, defineDurableKindMulti, defineKind, defineKindMulti, makeKindHandle, makeScalarBigMapStore,
  makeScalarBigSetStore, makeScalarBigWeakMapStore, makeScalarBigWeakSetStore, provide,
} from '@agoric/vat-data';

export const buildRootObject = (_powers, _parameters, baggage) => {
  const init = content => ({ content });
  const methods = {
    content: ({ state }) => state.content,
    change: ({ state }, content) => {
      state.content = content;
    },
  };
  const facets = { front: { ...methods, back: ({ facets: { back } }) => back }, back: methods };
  const handle = name => provide(baggage, `${name} kind`, () => makeKindHandle(name));
  const makeVirtual = defineKind('virtual', init, methods);
  const makeDurable = defineDurableKind(handle('durable'), init, methods);
  const makeKit = defineKindMulti('kit', init, facets);
  const makeDurableKit = defineDurableKindMulti(handle('durable kit'), init, facets);
  const makers = {
    heap: content => Far('heap', { content: () => content }),
    virtual: makeVirtual,
    durable: makeDurable,
    kit: content => makeKit(content).front,
    'durable kit': content => makeDurableKit(content).front,
  };

  const own = new Map();
  const durably = { durable: true };
  const stores = {
    map: makeScalarBigMapStore('map'),
    set: makeScalarBigSetStore('set'),
    'durable map': provide(baggage, 'map', () => makeScalarBigMapStore('durable map', durably)),
    'durable set': provide(baggage, 'set', () => makeScalarBigSetStore('durable set', durably)),
  };
  const weak = {
    'weak map': new WeakMap(),
    'weak map store': makeScalarBigWeakMapStore('weak map store'),
    'durable weak map store': makeScalarBigWeakMapStore('durable weak map store', durably),
  };
  const weakSets = {
    'weak set': new WeakSet(),
    'weak set store': makeScalarBigWeakSetStore('weak set store'),
    'durable weak set store': makeScalarBigWeakSetStore('durable weak set store', durably),
  };

  const holdInState = (name, thing, how) => stores.map.init(name, makers[how.slice(0, -' state'.length)](thing));
  const hold = (name, thing, how) => {
    if (how === 'heap') own.set(name, thing);
    else if (how === 'baggage') baggage.init(name, thing);
    else if (how === 'map' || how === 'durable map') stores[how].init(name, thing);
    else if (how === 'set' || how === 'durable set') stores[how].add(thing);
    else if (how === 'promised') own.set(name, { promise: thing });
    else if (how.endsWith(' state')) holdInState(name, thing, how);
    else throw Error(`no way to hold: ${how}`);
  };
  const drop = (name, how) => {
    if (how === 'heap' || how === 'promised') own.delete(name);
    else if (how === 'baggage') baggage.delete(name);
    else if (how === 'set' || how === 'durable set') stores[how].clear();
    else if (how === 'durable map') stores[how].delete(name);
    else stores.map.delete(name);
  };

  return Far('holder', {
    bootstrap: () => {},

    // -- things of its own
    make: (name, strength, content) => {
      own.set(name, makers[strength](content));
    },
    // Both facets of one object, to two others.
    split: (name, one, other) => {
      E(one).hold('front', own.get(name), 'heap');
      E(other).hold('back', own.get(name).back(), 'heap');
    },
    makeOf: (name, strength, content) => {
      own.set(name, makers[strength](own.get(content)));
    },
    give: (name, to, how) => E(to).hold(name, own.get(name), how),

    giveAs: (name, to, as) => E(to).hold(as, own.get(name), 'heap'),

    // -- things of others
    hold,
    drop,
    see: () => {},
    show: name => own.get(name),
    content: name => E(own.get(name)).content(),
    same: (name, thing) => own.get(name) === thing,
    sameNames: (one, other) => own.get(one) === own.get(other),
    showBaggage: name => baggage.get(name),
    moveToHeap: (name, how) => {
      own.set(name, how === 'baggage' ? baggage.get(name) : stores.map.get(name));
      drop(name, how);
    },

    // Only recognized: name says by what, another thing is the entry's value.
    recognize: (name, how, value) => {
      if (weakSets[how]) weakSets[how].add(own.get(name));
      else if (how === 'weak map') weak[how].set(own.get(name), own.get(value));
      else weak[how].init(own.get(name), own.get(value));
    },
    recognizesHeld: (name, how) => (weakSets[how] || weak[how]).has(own.get(name)),
    forgetHeld: (name, how) => {
      (weakSets[how] || weak[how]).delete(own.get(name));
    },
    // What is only recognized cannot be named; the collection can be let go of.
    forgetAll: how => {
      delete weak[how];
      delete weakSets[how];
    },

    // -- promises
    promise: name => {
      const kit = {};
      kit.promise = new Promise((resolve, reject) => Object.assign(kit, { resolve, reject }));
      own.set(name, kit);
    },
    givePromise: (name, to, how) => E(to).hold(name, own.get(name).promise, how),
    sendTo: (name, thing) => {
      E(own.get(name).promise).hold('queued', own.get(thing), 'heap');
    },
    passOn: (name, thing) => E(own.get(name)).hold('queued', own.get(thing), 'heap'),
    resolve: (name, value) => own.get(name).resolve(value),
    resolveWith: (name, held) => own.get(name).resolve(harden({ held: own.get(held) })),
    // Two promises, each of which is in the other's value.
    tangle: to => {
      let one;
      let other;
      const first = new Promise(resolve => {
        one = resolve;
      });
      const second = new Promise(resolve => {
        other = resolve;
      });
      const done = E(to).hold('tangle', harden([first, second]), 'heap');
      one(harden([second]));
      other(harden([first]));
      return done;
    },
    calls: async (to, count) => {
      for (let sent = 0; sent < count; sent += 50) {
        await Promise.all(Array.from({ length: 50 }, () => E(to).see(Promise.resolve(sent))));
      }
      return count;
    },

    // -- round and round
    pass: (name, to, ...others) => {
      const thing = own.get(name);
      own.delete(name);
      return E(to).receive(name, thing, ...others);
    },
    receive: (name, thing, ...others) => {
      if (!others.length) {
        own.set(name, thing);
        return 'there';
      }
      const [next, ...rest] = others;
      return E(next).receive(name, thing, ...rest);
    },
    // To an answer that turns out to be ourselves: nothing but the message holds the thing on its way.
    toMyself: (name, by, me) => {
      const thing = own.get(name);
      own.delete(name);
      return E(E(by).echo(me)).receive(name, thing);
    },
    echo: thing => thing,
  });
};
