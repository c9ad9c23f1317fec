// The smallest cluster: one answer.
import { Far } from '@endo/far';

export const buildRootObject = (_vatPowers, { answer = 'hello' }) =>
  Far('root', {
    bootstrap() {
      console.log('bootstrap runs');
      return answer;
    },
    ping: () => 'pong',
    echo: value => value,
  });
