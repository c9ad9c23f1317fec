import { Far } from '@endo/far';

const { indexOf } = Array.prototype;

export function buildRootObject() {
  const keep = [];
  return Far('root', {
    ok() {
      return 'alive';
    },
    loop() {
      for (;;);
    },
    async promises() {
      for (;;) await null;
    },
    regexp() {
      return /^(a+)+$/.test(`${'a'.repeat(40)}!`);
    },
    arrays() {
      for (;;) keep.push(new Uint8Array(1000000));
    },
    objects() {
      for (;;) keep.push({ a: 1, b: {} });
    },
    doubling() {
      let s = 'x';
      for (;;) s += s;
    },
    recurse() {
      const f = n => 1 + f(n + 1);
      return f(0);
    },
    deep(n) {
      const f = m => (m === 0 ? 0 : 1 + f(m - 1));
      return f(n);
    },
    json() {
      return JSON.parse('['.repeat(1000000));
    },
    bigint() {
      let x = 3n;
      for (;;) x *= x;
    },
    native() {
      return indexOf.call({ length: 2 ** 53 - 1 }, 1);
    },
    names() {
      const o = {};
      for (let i = 0; ; i += 1) o[`p${i}`] = i;
    },
    work(n) {
      let sum = 0;
      for (let i = 0; i < n; i += 1) sum += i;
      return sum;
    },
    powers() {
      return [
        typeof print, typeof gc, typeof send, typeof storeGet, typeof hostConsole, typeof meterOff, typeof vat,
        typeof WeakRef, typeof FinalizationRegistry, typeof setTimeout, typeof setImmediate,
        typeof new Compartment().globalThis.WeakRef,
        (() => {}).constructor.constructor === Function,
        Function('return typeof vat')(),
      ].join();
    },
    inherited() {
      const inner = new Compartment();
      return [
        inner.globalThis.WeakMap === WeakMap,
        new inner.globalThis.Compartment().globalThis.WeakMap === WeakMap,
        Object.isFrozen(Array.prototype),
      ];
    },
    now() {
      return Date.now();
    },
    random() {
      return Math.random();
    },
  });
}
