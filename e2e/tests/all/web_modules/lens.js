({ codeText, wifiProblem }, check) => {
  const qr = 'NIGHTJAR:V:1;R:https://a.example;S:c2Vj;E:1790000600;;';
  check('nothing to add', codeText(qr, null, null), qr);
  check('the key', codeText(qr, 'KEY=', { ssid: '', passphrase: '' }), `${qr.slice(0, -1)}O:KEY=;;`);
  const wifi = { ssid: 'a;b\\c', passphrase: 'p;q:r', hidden: true };
  check('what ends a field is marked', codeText(qr, null, wifi), `${qr.slice(0, -1)}N:a\\;b\\\\c;P:p\\;q:r;H:1;;`);
  check('no Wi-Fi', wifiProblem({ ssid: '', passphrase: '', hidden: false }), null);
  check('an open one', wifiProblem({ ssid: 'Caf\u00e9', passphrase: '' }), null);
  check('a key', wifiProblem({ ssid: 'Home', passphrase: '0aF'.repeat(22).slice(0, 64) }), null);
  for (const [ssid, passphrase] of [['', 'long enough'], ['\u00fc'.repeat(17), ''], ['a\nb', ''], ['Home', 'short'], ['Home', 'p\u00e4ssword'], ['Home', 'x'.repeat(64)]]) {
    check(`${ssid} ${passphrase}`, typeof wifiProblem({ ssid, passphrase, hidden: false }), 'string');
  }
}
