// Knows a mortal and what it made, asks it to end, and tells what became of everything.
import { E, Far } from '@endo/far';

const tell = promise =>
  Promise.resolve(promise).then(
    value => ['fulfilled', value],
    error => ['rejected', error.message],
  );

export const buildRootObject = () => {
  let mortal, witness, thing, held, queued, answer;
  const heard = [];
  const friend = Far('friend', {
    hear(words) {
      heard.push(words);
    },
  });
  return Far('mourner', {
    async bootstrap(vats) {
      ({ mortal, witness } = vats);
      thing = await E(mortal).make();
      held = E(mortal).hold();
      queued = tell(E(held).queued());
      E(mortal).take(Far('mine'));
      await E(witness).keep(thing, held);
      return 'ready';
    },
    async end(way) {
      answer = tell(E(mortal).end(way, friend));
      const after = [1, 2, 3].map(() => tell(E(mortal).ok()));
      return { answer: await answer, after: await Promise.all(after) };
    },
    async later() {
      return {
        answer: await answer,
        held: await tell(held),
        queued: await queued,
        thing: await tell(E(thing).late()),
        root: await tell(E(mortal).ok()),
        same: await E(witness).same(thing),
        seen: await E(witness).seen(),
        heard: [...heard],
      };
    },
    ping: () => 'pong',
  });
};
