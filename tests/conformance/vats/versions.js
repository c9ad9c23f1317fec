// A vat for all its incarnations: what it finds in its baggage it goes on with, what it does not it makes. `version` says
// which incarnation's behaviour it has, `kinds` how the kind of that name is defined.
import { E, Far } from '@endo/far';
import {
  defineDurableKind,
  defineDurableKindMulti,
  defineKind,
  makeKindHandle,
  makeScalarBigMapStore,
  makeScalarBigWeakMapStore,
  watchPromise,
} from '@agoric/vat-data';

export const buildRootObject = (_vatPowers, parameters, baggage) => {
  const { version, handler, explode, kinds, promise } = parameters ?? {};
  const first = !baggage.has('holder');
  const provide = (name, make) => {
    if (!baggage.has(name)) baggage.init(name, make());
    return baggage.get(name);
  };
  const never = () => new Promise(() => {});

  // Objects that hold an import and a value, in all three strengths.
  const init = (held, value) => harden({ held, value });
  const methods = {
    get: ({ state }) => (version === 'v2' ? { ...state.value, new: 'new' } : state.value),
    set: ({ state }, value) => {
      state.value = value;
    },
    getHeld: ({ state }) => state.held,
    increment: ({ state }) => {
      state.value = (state.value ?? 0) + 1;
      return state.value;
    },
  };
  const makeVirtual = defineKind('virtual', init, methods);
  const makeDurable = defineDurableKind(provide('holder', () => makeKindHandle('holder')), init, methods);
  const makeEphemeral = value => {
    let count = 0;
    return Far('ephemeral', { get: () => value, increment: () => (count += 1) });
  };

  const makeWatcher = defineDurableKind(
    provide('watcherKind', () => makeKindHandle('watcher')),
    () => ({ seen: 'nothing' }),
    {
      onFulfilled: ({ state }, value) => {
        state.seen = harden(['fulfilled', value]);
      },
      onRejected: ({ state }, reason) => {
        state.seen = harden(['rejected', reason]);
      },
      getSeen: ({ state }) => state.seen,
    },
  );
  const watched = never();
  if (first) {
    provide('watcher', makeWatcher);
    watchPromise(watched, baggage.get('watcher'));
  }
  const made = first ? undefined : makeDurable(undefined, { name: 'made by the new one' });
  provide('data', () => harden(['some', 'data']));

  if (promise) E(handler).take(promise, Promise.resolve(`settled ${version}`));
  if (handler) E(handler).ping(`hello from ${version}`);
  if (explode) throw Error(explode);

  // `kinds`: none, or facets with spaces between; '-' is a kind without facets.
  const define = (handle, facets) =>
    facets === '-'
      ? defineDurableKind(handle, () => ({}), {})
      : defineDurableKindMulti(handle, () => ({}), Object.fromEntries(facets.split(' ').map(name => [name, {}])));
  if (kinds && first) provide('kind', () => makeKindHandle('kind'));
  if (kinds) define(baggage.get('kind'), kinds);

  const lasting = new Map(); // names to exports that this incarnation keeps
  const pins = [];
  let pings = version === 'v2' ? 20 : 0;
  return Far('root', {
    getVersion: () => version,
    getParameters: () => parameters,
    getData: () => baggage.get('data'),
    keep: thing => baggage.init('kept', thing),
    getKept: () => baggage.get('kept'),
    getMade: () => made,
    getWatched: () => watched,
    getSeen: () => baggage.get('watcher').getSeen(),
    never,
    neverInArray: () => [never()],
    hold: promised => void pins.push(promised),
    loseKind: () => void makeKindHandle('lost'),
    pingback(other) {
      pings += 1;
      return E(other).ping(`ping ${pings}`);
    },

    counter: strength =>
      ({
        ephemeral: () => makeEphemeral(),
        virtual: () => makeVirtual(undefined, 0),
        durable: () => provide('counter', () => makeDurable(undefined, 0)),
      })[strength](),

    // Things of every strength, that hold each other and imports.
    getExports(imports) {
      const dur = imports.map((held, n) => makeDurable(held, { name: `d${n}` }));
      const vir = imports.map((held, n) => makeVirtual(held, { name: `v${n}` }));
      const virtualMap = makeScalarBigMapStore('virtual map');
      const durableMap = makeScalarBigMapStore('durable map', { durable: true });
      const inBaggage = makeScalarBigMapStore('in baggage', { durable: true });
      const weak = makeScalarBigWeakMapStore('weak', { durable: true });
      vir[1].set(dur[2]);
      vir[3].set(vir[1]);
      virtualMap.init(imports[4], dur[4]);
      durableMap.init(imports[5], dur[5]);
      durableMap.init(dur[6], dur[7]);
      inBaggage.init(imports[8], dur[8]);
      weak.init(imports[9], dur[9]);
      baggage.init('inBaggage', inBaggage);
      baggage.init('weak', weak);
      baggage.init('import 0', imports[0]);
      lasting.set('ephemeral', makeEphemeral([vir[3], dur[2], durableMap]));
      return { dur1: dur[1], vir1: vir[1], vir3: vir[3], virtualMap, durableMap, ephemeral: lasting.get('ephemeral') };
    },
    lookInto: map => [...map.entries()].length,
    checkBaggage: (key8, key9) => [
      baggage.get('inBaggage').get(key8).getHeld(),
      baggage.get('weak').get(key9).getHeld(),
      baggage.get('import 0'),
    ],
  });
};
