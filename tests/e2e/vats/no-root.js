export const makeBank = () => 'nobody asks for this';
