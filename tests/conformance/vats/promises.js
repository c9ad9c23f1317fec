// Twelve things that promises must survive on their way between vats. One source for all vats of the
// cluster: `parameters.part` says which part a vat plays, `parameters.scenario` what alice begins.
// Every line a vat prints is compared (scenarios.json), so the order in which things happen to each
// vat is what is tested.
import { E, Far } from '@endo/far';

const makeKit = () => {
  const kit = {};
  kit.promise = new Promise((resolve, reject) => Object.assign(kit, { resolve, reject }));
  kit.promise.catch(() => {});
  return kit;
};

const isPromise = x => Promise.resolve(x) === x;

// What bob and carol answer to, by scenario. Alice's own story stands under it.
const scenarios = {};

// 1-3: a promise travels as an argument and is settled after, before, and long after the message.
const takesPromise = log => ({
  hereIsAPromise(promise) {
    const seen = promise.then(value => {
      log(`the promise parameter resolved to '${value}'`);
      return 'bobPSucc';
    });
    return [seen, 'Bob.hereIsAPromise done'];
  },
});

const hearAnswer = async (log, answer) => {
  log("awaiting Bob's response");
  const [seen, text] = await answer;
  log(`Bob's response to hereIsAPromise: '${text}'`);
  return seen;
};

scenarios.promiseArg1 = {
  answers: takesPromise,
  begin(log, { bob }) {
    const { promise, resolve } = makeKit();
    log('sending the promise to Bob');
    const answer = E(bob).hereIsAPromise(promise);
    log('resolving the promise that was sent to Bob');
    resolve('Alice said hi after send');
    return hearAnswer(log, answer);
  },
};

scenarios.promiseArg2 = {
  answers: takesPromise,
  begin(log, { bob }) {
    const { promise, resolve } = makeKit();
    log('resolving the promise that will be sent to Bob');
    resolve('Alice said hi before send');
    log('sending the promise to Bob');
    return hearAnswer(log, E(bob).hereIsAPromise(promise));
  },
};

scenarios.promiseArg3 = {
  answers: takesPromise,
  async begin(log, { bob }) {
    const { promise, resolve } = makeKit();
    log('sending the promise to Bob');
    log("awaiting Bob's response");
    const [seen, text] = await E(bob).hereIsAPromise(promise);
    log(`Bob's response to hereIsAPromise: '${text}'`);
    log('resolving the promise that was sent to Bob');
    resolve("Alice said hi after Bob's reply");
    return seen;
  },
};

// 4: each resolution carries the promise of the next one.
scenarios.promiseChain = {
  answers(log) {
    let link = makeKit();
    let value = 0;
    return {
      firstLink: () => [link.promise],
      extend() {
        const next = makeKit();
        value += 1;
        log(`bobGen set value to ${value}`);
        link.resolve([value, next.promise]);
        link = next;
      },
    };
  },
  async begin(log, { bob }) {
    let [link] = await E(bob).firstLink();
    for (let count = 0; ; count += 1) {
      log('waitFor start');
      E(bob).extend();
      [, link] = await link;
      if (count === 3) break;
      log(`count ${count} < 3, recurring...`);
    }
    log('finishing chain');
    return 'end of chain';
  },
};

// 5-6: two promises of one decider, each settled with data that holds the other.
const twoPromises = log => {
  const kits = [makeKit(), makeKit()];
  return {
    genPromise1() {
      log('genPromise1');
      return kits[0].promise;
    },
    genPromise2() {
      log('genPromise2');
      return kits[1].promise;
    },
    resolveBoth(value1, value2) {
      log('resolveBoth');
      kits[0].resolve(value1);
      kits[1].resolve(value2);
    },
    resolve1(value) {
      log('resolve1');
      kits[0].resolve(value);
    },
    resolve2(value) {
      log('resolve2');
      kits[1].resolve(value);
    },
  };
};

const seeCycle = async (log, promiseX, promiseY) => {
  const resolutionX = await promiseX;
  const resolutionY = await promiseY;
  log(`isPromise(resolutionX[0]): ${isPromise(resolutionX[0])}`);
  log(`isPromise(resolutionY[0]): ${isPromise(resolutionY[0])}`);
  return 'done';
};

scenarios.promiseCycle = {
  answers: twoPromises,
  begin(log, { bob }) {
    const promiseX = E(bob).genPromise1();
    const promiseY = E(bob).genPromise2();
    E(bob).resolveBoth([promiseY], [promiseX]);
    return seeCycle(log, promiseX, promiseY);
  },
};

scenarios.promiseCycleMultiCrank = {
  answers: twoPromises,
  begin(log, { bob }) {
    const promiseX = E(bob).genPromise1();
    const promiseY = E(bob).genPromise2();
    E(bob).resolve1([promiseY]);
    E(bob).resolve2([promiseX]);
    return seeCycle(log, promiseX, promiseY);
  },
};

// 7: the same across two deciders.
scenarios.promiseCrosswise = {
  answers(log) {
    const kit = makeKit();
    return {
      genPromise() {
        log('genPromise');
        return kit.promise;
      },
      resolve(value) {
        log('resolve');
        kit.resolve(value);
      },
    };
  },
  begin(log, { bob, carol }) {
    const promiseX = E(bob).genPromise();
    const promiseY = E(carol).genPromise();
    E(bob).resolve([promiseY]);
    E(carol).resolve([promiseX]);
    return seeCycle(log, promiseX, promiseY);
  },
};

// 8: a promise is settled with a promise that is settled already.
scenarios.promiseIndirect = {
  answers(log) {
    const first = makeKit();
    const second = makeKit();
    return {
      genPromise1() {
        log('genPromise1');
        return first.promise;
      },
      genPromise2() {
        log('genPromise2');
        return second.promise;
      },
      resolve(promise1) {
        log('resolve');
        first.resolve('hello');
        second.resolve(promise1);
      },
    };
  },
  async begin(log, { bob }) {
    const promise1 = E(bob).genPromise1();
    const promise2 = E(bob).genPromise2();
    E(bob).resolve(promise1);
    log(`resolution == ${await promise2}`);
    return 'done';
  },
};

// 9-10: the promise of one answer is the argument of the next message.
const hearTwo = (log, result1, result2) =>
  Promise.all([
    result1.then(value => {
      log(`first result resolved to ${value}`);
      return 'p1succ';
    }),
    result2.then(value => {
      log(`second result resolved to ${value}`);
      return 'p2succ';
    }),
  ]);

const passFirstToSecond = (log, { bob }) => {
  const result1 = E(bob).first();
  return hearTwo(log, result1, E(bob).second(result1));
};

scenarios.passResult = {
  answers: log => ({
    first() {
      log('first');
      return "Bob's first answer";
    },
    second(parameter) {
      log('second');
      parameter.then(value => log(`parameter to second resolved to ${value}`));
      return "Bob's second answer";
    },
  }),
  begin: passFirstToSecond,
};

scenarios.passResultPromise = {
  answers(log) {
    const kit = makeKit();
    return {
      first() {
        log('first');
        return kit.promise;
      },
      async second(parameter) {
        log('second');
        kit.resolve('Bob answers first in second');
        log(`parameter to second resolved to ${await parameter}`);
        return "Bob's second answer";
      },
    };
  },
  begin: passFirstToSecond,
};

// 11: messages to an answer that is not there yet, 1 to 10 of them at once, in order.
scenarios.resolvePipelined = {
  answers: log => ({
    first() {
      log('first');
      return Far('thing', {
        second(_self) {
          log('thing.second');
          return "Bob's second answer";
        },
        nth(i) {
          log(`thing.nth ${i}`);
          return i;
        },
      });
    },
  }),
  async begin(log, { bob }, { more = 0 }) {
    const result1 = E(bob).first();
    const results = hearTwo(log, result1, E(result1).second(result1));
    const rest = [];
    for (let i = 2; i <= more; i += 1) rest.push(E(result1).nth(i));
    const both = await results;
    for (const result of rest) log(`result ${await result}`);
    return both;
  },
};

// 12: a message waits on a promise that a later message settles.
scenarios.messageToPromise = {
  answers(log) {
    const kit = makeKit();
    return {
      setup() {
        log('setup');
        return kit.promise;
      },
      doResolve() {
        log('doResolve');
        kit.resolve(
          Far('thing', {
            doSomething() {
              log('thing.doSomething');
              return 'deferred something';
            },
          }),
        );
      },
      loopback() {
        log('loopback');
      },
    };
  },
  async begin(log, { bob }) {
    const result1 = E(bob).setup();
    const result2 = E(result1)
      .doSomething()
      .then(value => {
        log(`second result resolved to '${value}'`);
        return 'p2succ';
      });
    await E(bob).doResolve();
    log('invoking loopback');
    await E(bob).loopback();
    log('loopback done');
    return result2;
  },
};

export const buildRootObject = (_vatPowers, { scenario, ...parameters }) => {
  const log = text => console.log(text);
  const { answers, begin } = scenarios[scenario];
  return Far('root', {
    bootstrap(vats) {
      log(`running test ${scenario}`);
      return begin(log, vats, parameters);
    },
    ...answers(log),
  });
};
