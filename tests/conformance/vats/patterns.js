// Message patterns between three vats, from one call to promises that are settled with each other. One source for
// all four vats of the cluster: `parameters.part` says which one, `parameters.pattern` what is played.
//
// alice and amy live in vat a, bob, bert and bill in vat b, carol in vat c. alice knows bob, bert and carol; what else she
// learns she learns from them. A pattern is a function of (log, who) that gives alice one method, `begin`,
// and bob, carol and again alice those that the others call. Every line is compared, so what is said twice
// ("match") says that the same thing came twice.
import { E, Far } from '@endo/far';

const makeKit = () => {
  const kit = {};
  kit.promise = new Promise((resolve, reject) => Object.assign(kit, { resolve, reject }));
  return kit;
};

// A refusal that is plain data, so that its text is the same wherever it is printed.
const refusal = () => harden({ message: 'nope' });
const shown = value => JSON.stringify(value);

const patterns = {};

// ---- 10 to 12: data

const says = (name, argument, tell) => (log, { bob }) => ({
  alice: {
    async begin() {
      await E(bob).hear(...argument);
      log(`${name} done`);
    },
  },
  bob: { hear: async (...heard) => log(tell(...heard)) },
});
patterns.a10 = says('a10', [], () => 'b10 called');
patterns.a11 = says('a11', ['data'], text => `b11 got ${text}`);
patterns.a12 = says('a12', [{ key: 'value' }], record => `b12 got ${record.key}`);

// ---- 20 to 31: a reference goes to bob twice, and is the same both times

const gives = (name, pick, wrap, unwrap, isIt) => (log, who) => {
  let first;
  return {
    alice: {
      async begin() {
        await E(who.bob).take(wrap(pick(who), 'key1'));
        await E(who.bob).again(wrap(pick(who), 'key2'));
        log(`${name[0]} done`);
      },
    },
    bob: {
      async take(parcel) {
        first = unwrap(parcel, 'key1');
        log(`${name[1]} got ${first}`);
        if (isIt) log(`match: ${first === isIt(who)}`);
      },
      async again(parcel) {
        log(`match: ${unwrap(parcel, 'key2') === (isIt ? isIt(who) : first)}`);
      },
    },
  };
};
const bare = [x => x, x => x];
const keyed = [(x, key) => ({ [key]: x }), (parcel, key) => parcel[key]];
patterns.a20 = gives(['a20', 'b20'], who => who.amy, ...bare);
patterns.a21 = gives(['a21', 'b21'], who => who.amy, ...keyed);
patterns.a30 = gives(['a30', 'b30'], who => who.bob, ...bare, who => who.bob);
patterns.a31 = gives(['a31', 'b31'], who => who.bert, ...bare, who => who.bert);

// ---- 40 to 44: bob answers with a reference, or refuses

const answers = (pick, tell) => (log, who) => ({
  alice: {
    async begin() {
      const one = await E(who.bob).answer();
      const two = await E(who.bob).answer();
      log(tell(one, two, who));
    },
  },
  bob: { answer: async () => pick(who) },
});
patterns.a40 = answers(
  who => who.bob,
  (one, two, { bob }) => `a40 done, match ${one === bob} ${one === two}`,
);
patterns.a41 = answers(
  who => who.bert,
  (one, two, { bert }) => `a41 done, match ${one === bert} ${one === two}`,
);
patterns.a42 = answers(
  who => who.bill,
  (one, two) => `a42 done, ${one} match ${one === two}`,
);

patterns.a43 = (log, { bob }) => ({
  alice: {
    begin: () =>
      E(bob)
        .answer()
        .then(
          value => log(`a43 answered ${value}`),
          reason => log(`a43 rejected with ${shown(reason)}`),
        ),
  },
  bob: {
    answer: async () => {
      throw refusal();
    },
  },
});

patterns.a44 = (log, { bob }) => ({
  alice: {
    async begin() {
      const parcel = await E(bob).answer();
      log('a44 got ret');
      await parcel[0].then(
        value => log(`a44 answered ${value}`),
        reason => log(`a44 ret[0] rejected with ${shown(reason)}`),
      );
    },
  },
  bob: { answer: async () => harden([Promise.reject(refusal())]) },
});

// ---- 50 to 53: the answer carries a promise that is settled in the same crank

const promises = (pick, finish) => (log, who) => {
  const { promise, resolve } = makeKit();
  return {
    alice: {
      async begin() {
        const parcel = await E(who.bob).answer(who.amy);
        await finish(log, await parcel.promise, who);
      },
    },
    bob: {
      async answer(amy) {
        resolve(pick(who, amy));
        return harden({ promise });
      },
      again: async () => pick(who),
    },
  };
};
patterns.a50 = promises(
  () => 'data',
  (log, data) => log(`a50 done, got ${data}`),
);
patterns.a51 = promises(
  who => who.bert,
  async (log, one, who) => {
    const two = await E(who.bob).again();
    log(`a51 done, got ${one}, match ${one === two} ${one === who.bert}`);
  },
);
patterns.a52 = promises(
  who => who.bill,
  async (log, one, who) => {
    const two = await E(who.bob).again();
    log(`a52 done, got ${one}, match ${one === two}`);
  },
);
patterns.a53 = promises(
  (_who, amy) => amy,
  (log, amy, who) => log(`a53 done, match ${amy === who.amy}`),
);

// ---- 60 to 65: promises settled after, before, and long after they were sent

const sends = (name, makePromise) => (log, { bob, amy }) => ({
  alice: {
    async begin() {
      const { promise, settle } = makePromise(amy);
      const answer = E(bob).unwrap({ promise });
      settle();
      log(`${name} done, match ${(await answer) === amy}`);
    },
  },
  bob: {
    unwrap: async parcel => {
      const amy2 = await parcel.promise;
      return amy2;
    },
  },
});
patterns.a60 = sends('a60', amy => {
  const { promise, resolve } = makeKit();
  return { promise, settle: () => resolve(amy) };
});
patterns.a61 = sends('a61', amy => ({ promise: Promise.resolve(amy), settle() {} }));

const later = (settle, hear) => (log, who) => {
  const kit = makeKit();
  let kept;
  return {
    alice: {
      async begin() {
        const parcel = await E(who.bob).open(who.amy);
        E(who.bob).close();
        await parcel.promise.then(
          value => log(hear(value, who)),
          reason => log(hear(reason, who)),
        );
      },
    },
    bob: {
      async open(amy) {
        kept = amy;
        return harden({ promise: kit.promise });
      },
      close: async () => settle(kit, who, kept),
    },
  };
};
patterns.a62 = later(
  (kit, who) => kit.resolve(who.bill),
  bill => `a62 done, got ${bill}`,
);
patterns.a63 = later(
  (kit, _who, amy) => kit.resolve(amy),
  (amy, who) => `a63 done, match ${amy === who.amy}`,
);
patterns.a65 = later(
  kit => kit.reject(refusal()),
  reason => `a65 rejected with ${shown(reason)}`,
);

// One promise whose number alice gave because she sent a message, another because she made it: both
// come back from bob and are still what they were.
patterns.a64 = (log, { bob, amy, alice }) => {
  const fromBob = makeKit();
  return {
    alice: {
      async begin() {
        const own = makeKit();
        const result = E(bob).open();
        const [result2, own2] = await E(bob).back(result, own.promise);
        E(bob).close(amy);
        const [amy1, amy2] = await Promise.all([result, result2]);
        log(`${amy1 === amy}`);
        log(`${amy1 === amy2}`);
        own.resolve(alice);
        const [alice1, alice2] = await Promise.all([own.promise, own2]);
        log(`${alice1 === alice}`);
        log(`${alice1 === alice2}`);
      },
    },
    bob: {
      open: () => fromBob.promise,
      back: (...two) => harden(two),
      close: value => fromBob.resolve(value),
    },
  };
};

// A result's promise is an argument before its own message is delivered.
patterns.a66 = (log, { bob }) => {
  const kit = makeKit();
  return {
    alice: {
      async begin() {
        const target = E(bob).open();
        const result = E(target).stalled();
        const overtaking = E(bob).first(result);
        await E(bob).nothing();
        E(bob).close();
        await Promise.all([target, result, overtaking]);
      },
    },
    bob: {
      open: () => kit.promise,
      first(result) {
        log('one');
        result.then(() => log('p2 resolved'));
      },
      nothing: () => 0,
      close() {
        const stalled = () => {
          log('two');
          return 'res';
        };
        kit.resolve(Far('target', { stalled }));
      },
    },
  };
};

// ---- 70 to 73: pipelining

const pipe = log => {
  const third = Far('third', { pipe3: () => log('pipe3') });
  const second = Far('second', {
    pipe2() {
      log('pipe2');
      return third;
    },
  });
  return {
    pipe1() {
      log('pipe1');
      return second;
    },
  };
};
const pipeline = (log, first) => {
  const second = E(first).pipe2();
  const third = E(second).pipe3();
  first.then(() => log('p1.then'));
  second.then(() => log('p2.then'));
  third.then(() => log('p3.then'));
};

patterns.a70 = (log, { bob }) => ({
  alice: { begin: async () => pipeline(log, E(bob).pipe1()) },
  bob: pipe(log),
});

const pipelineToPromise = close => (log, { bob }) => {
  const kit = makeKit();
  return {
    alice: {
      async begin() {
        pipeline(log, E(E(bob).open()).pipe1());
        close(bob);
      },
    },
    bob: {
      open: async () => kit.promise,
      nothing: async () => 0,
      close: async () => kit.resolve(Far('first', pipe(log))),
    },
  };
};
patterns.a71 = pipelineToPromise(bob => E(bob).close());
patterns.a72 = pipelineToPromise(bob =>
  E(bob)
    .nothing()
    .then(() => E(bob).close()),
);

patterns.a73 = (log, { bob }) => ({
  alice: {
    async begin() {
      E(E(bob).one()).two();
    },
  },
  bob: { one: () => Far('one', { two: () => log('two') }) },
});

// ---- 80 to 87: a promise is used again after it was settled. It comes to alice in data, or as an answer; bob settles it
// with something of hers or of his; then she sends to it, or hands it on.

const settled = ({ inData, hers, asTarget }) => (log, who) => {
  const { bob, alice } = who;
  const kit = makeKit();
  return {
    alice: {
      async begin() {
        const promise = inData ? (await E(bob).open())[0] : E(bob).open();
        E(bob).close(alice);
        if (!asTarget) E(bob).use(alice, promise);
        else if (hers) E(promise).called('three');
        else E(promise).say('three');
      },
      called: log,
    },
    bob: {
      open: () => harden(inData ? [kit.promise] : kit.promise),
      close: alice2 => kit.resolve(hers ? alice2 : who.bill),
      async use(alice2, promise) {
        const value = await promise;
        log(`${value === (hers ? alice2 : who.bill)}`);
        if (hers) E(promise).called('four');
        else E(promise).say('three');
      },
    },
  };
};
for (let n = 0; n < 8; n += 1) {
  patterns[`a8${n}`] = settled({ inData: n < 4, hers: n % 4 < 2, asTarget: n % 2 === 0 });
}

// ---- 90, 91: three vats

patterns.a90 = (log, { carol, bert }) => ({
  alice: {
    async begin() {
      await E(carol).take(bert);
    },
  },
  carol: {
    take(bert2) {
      log('carol got bert');
      E(bert2).say('hi bert');
    },
  },
});

patterns.a91 = (log, { carol, bert }) => ({
  alice: {
    async begin() {
      const { promise, resolve } = makeKit();
      await E(carol).take(promise);
      resolve(bert);
    },
  },
  carol: {
    take(promise) {
      log('carol got Pbert');
      E(promise).say('hi bert');
    },
  },
});

// ---- 100: two promises, each settled with data that holds the other

patterns.a100 = (log, { bob }) => {
  const kits = [makeKit(), makeKit()];
  return {
    alice: {
      async begin() {
        const [one] = await E(bob).open(0);
        const [two] = await E(bob).open(1);
        E(bob).close([one], [two]);
        const [one2] = await one;
        const [two2] = await two;
        const [one3] = await one2;
        const [two3] = await two2;
        log(`${two3 !== one3}`);
        log(`${one3 === two2}`);
      },
    },
    bob: {
      open: n => harden([kits[n].promise]),
      close(one, two) {
        kits[0].resolve(two);
        kits[1].resolve(one);
      },
    },
  };
};

// ---- the vats

export const buildRootObject = (_vatPowers, { part, pattern }) => {
  const log = text => console.log(text);
  const who = {};
  const play = name => (patterns[pattern](log, who)[name] ?? {});

  const roots = {
    boot: {
      async bootstrap({ a, b, c }) {
        const { bob, bert } = await E(b).init();
        const { carol } = await E(c).init();
        await E(a).init({ bob, bert, carol });
        await E(a).run();
      },
    },
    a: {
      init(others) {
        // alice is in `who` before the pattern sees it: some patterns name her.
        const methods = {};
        who.amy = Far('amy', {});
        Object.assign(who, others);
        who.alice = Far('alice', {
          begin: () => methods.begin(),
          called: text => methods.called(text),
        });
        Object.assign(methods, play('alice'));
      },
      run: () => who.alice.begin(),
    },
    b: {
      init() {
        who.bert = Far('bert', { toString: () => 'obj-bert', say: log });
        who.bill = Far('bill', { toString: () => 'obj-bill', say: log });
        who.bob = Far('bob', { toString: () => 'obj-bob', ...play('bob') });
        return harden({ bob: who.bob, bert: who.bert });
      },
    },
    c: {
      init() {
        who.carol = Far('carol', play('carol'));
        return harden({ carol: who.carol });
      },
    },
  };
  return Far('root', roots[part]);
};
