({ isFinal, liveSentence }, check) => {
  const finals = ['no_common_codec', 'invalid_sdp', 'forbidden', 'not_found', 'unsupported_media_type', 'not_authentic', 'camera_removed', 'access_ended'];
  check('what trying again cannot help', finals.filter((code) => !isFinal({ code })), []);
  const passing = ['busy', 'camera_offline', 'privacy_mode', 'rate_limited', 'no_answer', 'worker_restarted', 'unreachable', 'stalled', 'internal'];
  check('what may pass', passing.filter((code) => isFinal({ code })), []);
  check('a known code counts more than its status', isFinal({ code: 'not_ready', status: 404 }), false);
  const statuses = [400, 403, 404, 408, 410, 415, 422, 425, 429, 451, 500, 503, 0];
  check('of codes that are not known the status', statuses.filter((status) => isFinal({ code: 'of_next_year', status })), [400, 403, 404, 410, 415, 422, 451]);
  const sentence = liveSentence({ code: 'no_common_codec', message: '' });
  const kept = [{ code: 'not_authentic', message: 'own' }, { code: 'not_authentic', status: 403, message: '' }].map(liveSentence);
  check('a clock that is wrong is named', [kept[0], kept[1].includes('clock')], ['own', true]);
  check('what helps is named', ['H.264', 'OpenH264', 'Chrome'].filter((word) => !sentence.includes(word)), []);
}
