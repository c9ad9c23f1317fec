import { E, Far } from '@endo/far';
import { makePromiseKit } from '@endo/promise-kit';

export function buildRootObject(vatPowers) {
  const kit = makePromiseKit();
  return Far('root', {
    nothing() {},
    echo(x) {
      return x;
    },
    fail() {
      throw Error('boom');
    },
    async ask(target) {
      return E(target).foo();
    },
    takeKnown(target) {
      const seven = Promise.resolve(7);
      E(target).take(seven);
    },
    chain(target) {
      E(E(target).one()).two();
    },
    share(target) {
      E(target).a(kit.promise);
      E(target).b(kit.promise);
    },
    settle(x) {
      kit.resolve(x);
    },
    make() {
      return Far('iface', {});
    },
    apply(target) {
      E(target)(1, 2);
      E(target)[Symbol.asyncIterator]();
    },
    oneWay(target, promise) {
      E.sendOnly(target).shout('a');
      E.sendOnly(target)(1);
      E.sendOnly(promise).later(kit.promise);
      E(target).after();
    },
    many(target, n) {
      for (let i = 0; i < n; i += 1) E(target).hello(i);
    },
    exit() {
      vatPowers.exitVat('bye');
    },
    exitWithFailure() {
      vatPowers.exitVatWithFailure(Error('no more'));
    },
    lose() {
      void Promise.reject(Error('nobody looks'));
    },
    lookup(o) {
      return Object.keys(o);
    },
  });
}
