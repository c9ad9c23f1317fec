import { E, Far } from '@endo/far';
import { makePromiseKit } from '@endo/promise-kit';
import { defineDurableKind, defineKind, makeKindHandle, makeScalarBigMapStore, provide, watchPromise } from '@agoric/vat-data';

/* parameters: version, for the answers; forget: the name of a kind that is not defined again. */
export function buildRootObject(_vatPowers, { version, forget }, baggage) {
  const handleOf = name => provide(baggage, name, () => makeKindHandle(name));
  const define = (name, init, methods) => {
    const handle = handleOf(name);
    return forget === name ? undefined : defineDurableKind(handle, init, methods);
  };
  const heard = provide(baggage, 'heard', () => makeScalarBigMapStore('heard', { durable: true }));
  const makeCounter = define('counter', () => ({ count: 0 }), {
    incr: ({ state }) => {
      state.count += 1;
      return [version, state.count];
    },
  });
  const makeWatcher = define('watcher', name => ({ name }), {
    onFulfilled: ({ state }, value) => heard.init(state.name, harden({ version, value })),
    onRejected: ({ state }, reason) => heard.init(state.name, harden({ version, reason })),
  });
  const makeFleeting = defineKind('fleeting', () => ({}), { hello: () => version });
  const kept = new Map();
  const kit = makePromiseKit();
  return Far('root', {
    version: () => version,
    makeCounter: () => makeCounter(),
    makeFleeting: () => makeFleeting(),
    makeEphemeral: () => Far('ephemeral', { hello: () => version }),
    keep: (name, thing) => {
      kept.set(name, thing);
    },
    store: (name, thing) => {
      baggage.init(name, thing);
    },
    call: name => E(baggage.get(name)).hello(),
    watch: (name, promise) => {
      watchPromise(promise, makeWatcher(name));
    },
    watchOwn: name => {
      watchPromise(kit.promise, makeWatcher(name));
    },
    own: () => [kit.promise],
    heard: name => heard.get(name),
  });
}
