import { Far } from '@endo/far';

export const buildRootObject = () =>
  Far('root', {
    bootstrap() {
      throw RangeError('bootstrap says no');
    },
  });
