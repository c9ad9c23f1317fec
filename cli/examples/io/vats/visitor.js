import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { lines }) =>
  Far('Visitor', {
    visit: async wire => {
      const answers = [];
      for (const line of lines) {
        await E(wire).write(line);
        answers.push(await E(wire).read());
      }
      return answers;
    },
  });
