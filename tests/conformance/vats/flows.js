// Where a message goes when its target is an object, a promise, the promise of an answer, or something of one's own.
// One source for boot, left and right; `parameters.flow` says what boot does.
import { E, Far } from '@endo/far';

const makeKit = () => {
  const kit = {};
  kit.promise = new Promise((resolve, reject) => Object.assign(kit, { resolve, reject }));
  return kit;
};

export const buildRootObject = (_vatPowers, { part, flow }) => {
  const log = text => console.log(text);
  const resolved = promise =>
    promise.then(
      value => log(`b.resolved ${value}`),
      reason => log(`b.rejected ${reason}`),
    );
  const makeOwn = answer =>
    Far('own', {
      foo(word) {
        log(`local.foo ${word}`);
        return answer;
      },
    });
  const later = makeKit(); // of boot
  const owed = makeKit(); // of right
  const answered = makeKit(); // of right

  const flows = {
    flush() {
      Promise.resolve('then1').then(log);
      Promise.resolve('then2').then(log);
    },
    answer({ left, right }) {
      resolved(E(left).callRight(1, right));
    },
    chain({ left }) {
      resolved(E(E(left).call2(1)).call3(2));
      log('b.call2');
    },
    chainToPromise({ left }) {
      resolved(E(E(Promise.resolve(left)).call2(1)).call3(2));
      log('b.call2');
    },
    own() {
      resolved(E(makeOwn(2)).foo(1));
      log('b.local1.finish');
    },
    ownComesBack({ left }) {
      resolved(E(E(left).back(makeOwn(3))).foo(2));
      log('b.local2.finish');
    },
    ownIsPromised({ left }) {
      const { promise, resolve } = makeKit();
      resolved(E(left).take(promise));
      resolve(makeOwn(3));
      log('b.send-promise1.finish');
    },
    async frozen({ left }) {
      const { promise } = makeKit();
      harden(promise);
      const first = E(left).isFrozen(promise);
      log(`p2 frozen ${Object.isFrozen(first)}`);
      const second = E(first).isFrozen(promise);
      log(`p3 frozen ${Object.isFrozen(second)}`);
      await Promise.all([first, second]);
      log('b.harden-promise-1.finish');
    },
    circle({ left }) {
      const one = E(left).open(0);
      const two = E(left).open(1);
      E(left).close([one], [two]);
    },
    queued({ right }) {
      E(E(right).owe()).four(later.promise);
    },
  };
  const circle = [makeKit(), makeKit()];

  const roots = {
    boot: {
      bootstrap: vats => flows[flow](vats),
      settle: () => later.resolve(3),
    },
    left: {
      callRight(word, right) {
        log(`left.callRight ${word}`);
        E(right)
          .bar(2)
          .then(value => log(`left.then ${value}`));
        return 3;
      },
      call2(word) {
        log(`left.call2 ${word}`);
        return Far('next', {
          call3(other) {
            log(`left.call3 ${other}`);
            return 3;
          },
        });
      },
      back(thing) {
        log('left.returnArg');
        return thing;
      },
      async take(promise) {
        log('left.takePromise');
        const thing = await promise;
        log('left.takePromise.then');
        E(thing).foo(1);
        return 4;
      },
      isFrozen(thing) {
        log(`o1 frozen ${Object.isFrozen(thing)}`);
        return root;
      },
      open: n => circle[n].promise,
      close(one, two) {
        circle[0].resolve(two);
        circle[1].resolve(one);
      },
    },
    right: {
      bar(word) {
        log(`right ${word}`);
        return 4;
      },
      owe: () => owed.promise,
      pay() {
        const target = Far('target', {
          async four(argument) {
            const isPromise = Promise.resolve(argument) === argument;
            answered.resolve([isPromise, await argument]);
          },
        });
        owed.resolve(target);
        return answered.promise;
      },
    },
  };
  const root = Far('root', roots[part]);
  return root;
};
