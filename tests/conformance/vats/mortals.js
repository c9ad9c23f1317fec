// Vats that end in every way there is, and those that speak with them while they do. `parameters.role` says which one a
// vat of the cluster file is; one that another vat made is the dude.
import { E, Far } from '@endo/far';

const never = () => new Promise(() => {});
const makeKit = () => {
  const kit = {};
  kit.promise = new Promise((resolve, reject) => Object.assign(kit, { resolve, reject }));
  return kit;
};
const roles = {};

roles.dude = log => {
  const held = [];
  return (vatPowers, _parameters) =>
    Far('dude', {
      foo(word) {
        log(`FOO ${word}`);
        return `FOO SAYS ${word}`;
      },
      hold: promise => void held.push(promise),
      never,
      exit: (how, reason) => vatPowers[how](reason),
      exitThenTalk(how, other, reason) {
        vatPowers[how](reason);
        E(other).query('not dead quite yet');
      },
      exitWith: other => vatPowers.exitVat(harden({ message: 'your ad here', emissary: other })),
      async elsewhere(other, word) {
        log(`QUERY ${word}`);
        const answer = await E(other).query(word);
        log(`ANSWER ${answer}`);
        return answer;
      },
      // speaks to the dead
      live() {
        log("w: I ate'nt dead");
        held.shift()?.resolve('I so resolve');
      },
      remember(one, two) {
        one.then(value => log(`w: p1 = ${value}`));
        two.then(value => log(`w: p2 = ${value}`));
        held.push(makeKit(), makeKit());
        return held.map(kit => kit.promise);
      },
    });
};

// ---- the vat that looks on: `mode` says how the other one ends

roles.boot = log => () => {
  let statics;
  let admin;
  let key;
  let root;
  let adminNode;
  const kept = [];
  const tell = (name, promise) => {
    promise.then(
      value => log(`${name}.then ${value}`),
      reason => log(`${name}.catch ${reason}`),
    );
    return promise;
  };
  const ends = {
    kill: () => E(adminNode).terminateWithFailure('kill'),
    happy: () => E(root).exit('exitVat', 'happy'),
    exceptionallyHappy: () => E(root).exit('exitVat', Error('exceptionallyHappy')),
    happyTalkFirst: () => E(root).exitThenTalk('exitVat', self, 'happyTalkFirst'),
    sad: () => E(root).exit('exitVatWithFailure', 'sad'),
    exceptionallySad: () => E(root).exit('exitVatWithFailure', Error('exceptionallySad')),
    sadTalkFirst: () => E(root).exitThenTalk('exitVatWithFailure', self, Error('sadTalkFirst')),
  };
  const done = async () => {
    await E(adminNode)
      .done()
      .then(
        value => log(`done result ${value} (Error=${value instanceof Error})`),
        reason => log(`done exception ${reason} (Error=${reason instanceof Error})`),
      );
  };

  const self = Far('boot', {
    async bootstrap(vats, devices) {
      admin = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
      key = await E(vats.vatAdmin).getCriticalVatKey();
      statics = vats;
    },
    query(word) {
      log(`GOT QUERY ${word}`);
      return word;
    },

    async prepare(dynamic, critical) {
      if (dynamic) {
        ({ root, adminNode } = await E(admin).createVatByName('dude', { critical: critical ? key : false }));
      } else {
        root = critical ? statics.staticCritical : statics.staticNonCritical;
      }
      log(`count1 ${await E(root).foo(1)}`);
    },

    async end(mode) {
      const forever = tell('foreverP', E(root).never());
      tell('afterForeverP', E(forever).something());
      log(`query2 ${await E(root).elsewhere(self, 2)}`);
      tell('query3P', E(root).elsewhere(self, 3));
      ends[mode]();
      tell('foo4P', E(root).foo(4));
      if (mode === 'kill') tell('termP', E(adminNode).terminateWithFailure('because we said so'));
      if (adminNode) await done();
      log('done');
      return 'test done';
    },

    // exit with presence
    async emissary() {
      log('preparing dynamic vat');
      ({ root, adminNode } = await E(admin).createVatByName('dude'));
      E(root).exitWith(self);
      const { message, emissary } = await E(adminNode).done();
      log(`done message: ${message}`);
      await E(emissary).talkBack('from beyond?');
      log('done');
    },
    talkBack: word => log(`talkback ${word}`),

    // terminate with presence
    async marker() {
      const marker = Far('marker', {});
      ({ root, adminNode } = await E(admin).createVatByName('dude'));
      log(`vat ready ${await E(root).foo(1)}`);
      const ended = E(adminNode).done();
      ended.catch(reason => log(`doneP.catch ${reason.why} ${reason.marker === marker}`));
      tell('foreverP', E(root).never());
      tell('termP', E(adminNode).terminateWithFailure(harden({ why: 'because', marker })));
      await ended.catch(() => {});
    },

    // dispatches to the dead
    async speak() {
      ({ root, adminNode } = await E(admin).createVatByName('dude'));
      const before = makeKit();
      const after = makeKit();
      kept.push(after);
      const [one, two] = await E(root).remember(before.promise, after.promise);
      one.then(value => log(`b: p1b = ${value}`));
      two.catch(reason => log(`b: p2b fails ${reason}`));
      before.resolve('before');
      await E(statics.medium).speak(root, '1');
      E(adminNode).terminateWithFailure(Error('arbitrary reason'));
      await E(adminNode)
        .done()
        .catch(reason => log(`done: ${reason}`));
      return 'bootstrap done';
    },
    async speakAgain() {
      kept[0].resolve('after');
      await E(statics.medium).speak(root, '2');
    },

    badKey: () => E(admin).createVatByName('dude', { critical: true }),

    // dead vat state removed
    async holding() {
      ({ root, adminNode } = await E(admin).createVatByName('dude'));
      await E(root).foo(1);
      await E(root).hold(never());
      const open = E(root).never();
      open.catch(() => {});
      kept.push(open);
      return root;
    },
    async endHolding() {
      E(adminNode).terminateWithFailure('phase 2');
      await E(adminNode)
        .done()
        .catch(() => {});
    },
  });
  return self;
};

roles.medium = log => () =>
  Far('medium', {
    async speak(target, word) {
      await E(target)
        .live()
        .catch(reason => log(`m: live ${word} failed: ${reason}`));
    },
  });

export const buildRootObject = (vatPowers, parameters) => {
  const log = text => console.log(text);
  return roles[parameters?.role ?? 'dude'](log)(vatPowers, parameters);
};
