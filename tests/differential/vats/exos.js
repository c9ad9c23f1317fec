/* Exo classes as contracts use them: guards, kits, amplification, state shapes, in all three strengths. */
import { E, Far } from '@endo/far';
import { M } from '@endo/patterns';
import {
  defineVirtualExoClass, defineVirtualExoClassKit, prepareExo, prepareExoClass, prepareExoClassKit, provide,
} from '@agoric/vat-data';
import { makeExo } from '@endo/exo';

const CounterI = M.interface('Counter', {
  incr: M.call().optional(M.number()).returns(M.number()),
  read: M.call().returns(M.number()),
  wait: M.callWhen(M.await(M.any())).returns(M.any()),
});
const counterMethods = {
  incr(by = 1) {
    this.state.count += by;
    return this.state.count;
  },
  read() {
    return this.state.count;
  },
  wait(value) {
    return ['waited', value];
  },
};
const purseKit = {
  purse: {
    deposit(amount) {
      this.state.balance += amount;
      return this.facets.view;
    },
  },
  view: {
    balance() {
      return this.state.balance;
    },
    history() {
      return this.state.notes;
    },
  },
};

export const buildRootObject = (_vatPowers, _parameters, baggage) => {
  const makeVirtual = defineVirtualExoClass('VirtualCounter', CounterI, () => ({ count: 0 }), counterMethods);
  const makeDurable = prepareExoClass(baggage, 'DurableCounter', CounterI, (count = 0) => ({ count }), counterMethods, {
    stateShape: { count: M.number() },
    finish: ({ state }) => { state.count += 1000; },
  });
  const makeKit = defineVirtualExoClassKit('Purse', undefined, notes => ({ balance: 0n, notes }), purseKit);
  const makeDurableKit = prepareExoClassKit(baggage, 'DurablePurse', undefined, notes => ({ balance: 0n, notes }), purseKit);
  const single = prepareExo(baggage, 'single', CounterI, { incr: (by = 1) => by, read: () => 7, wait: it => it });
  const total = provide(baggage, 'total', () => 5n);
  const kept = [];

  return Far('exos', {
    counter: durable => (durable ? makeDurable(3) : makeVirtual()),
    heap: () => makeExo('HeapCounter', CounterI, { incr: () => 1, read: () => 'not a number', wait: it => it }),
    kit: (durable, notes) => (durable ? makeDurableKit : makeKit)(notes),
    single: () => single,
    total: () => total,
    keep: it => { kept.push(it); },
    lose: () => { kept.length = 0; },
    callKept: (method, ...args) => kept.map(it => it[method](...args)),
    sendKept: (method, ...args) => Promise.all(kept.map(it => E(it)[method](...args))),
  });
};
