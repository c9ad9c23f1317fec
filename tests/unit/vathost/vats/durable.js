import { Far } from '@endo/far';
import { M } from '@endo/patterns';
import { defineDurableKind, makeKindHandle, makeScalarBigMapStore, prepareExoClass, provide } from '@agoric/vat-data';

export function buildRootObject(_vatPowers, _params, baggage) {
  const handle = provide(baggage, 'counterHandle', () => makeKindHandle('counter'));
  const makeCounter = defineDurableKind(handle, name => ({ name, count: 0 }), {
    incr: ({ state }) => {
      state.count += 1;
      return state.count;
    },
  });
  const makePurse = prepareExoClass(
    baggage,
    'Purse',
    M.interface('Purse', { deposit: M.call(M.number()).returns(M.number()) }),
    balance => ({ balance }),
    {
      deposit(n) {
        this.state.balance += n;
        return this.state.balance;
      },
    },
  );
  const store = provide(baggage, 'store', () => makeScalarBigMapStore('store', { durable: true }));
  return Far('root', {
    makeCounter(name) {
      const counter = makeCounter(name);
      store.init(name, counter);
      return counter;
    },
    incr(name) {
      return store.get(name).incr();
    },
    makePurse(name, balance) {
      store.init(name, makePurse(balance));
    },
    deposit(name, n) {
      return store.get(name).deposit(n);
    },
    names() {
      return [...store.keys()];
    },
    forget(name) {
      store.delete(name);
    },
  });
}
