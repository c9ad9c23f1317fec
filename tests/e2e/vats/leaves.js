// Ends itself, with a value or as a failure; what it does in that crank counts, or does not.
import { Far } from '@endo/far';

export const buildRootObject = ({ exitVat, exitVatWithFailure }) =>
  Far('root', {
    bootstrap() {},
    leave(value) {
      exitVat(value);
      return 'gone';
    },
    fail(reason) {
      exitVatWithFailure(Error(reason));
      return 'never told';
    },
  });
