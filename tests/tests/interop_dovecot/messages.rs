//! Messages that are awkward to store or to describe.

/// Each of them is refused or mangled by somebody.
pub(crate) const AWKWARD: [&[u8]; 24] = [
    b"From: a@b.example\r\nSubject: plain\r\n\r\nbody\r\n",
    b"Subject: no body\r\n\r\n",
    b"Subject: no blank line\r\n",
    b"Subject: no end\r\n\r\nlast line",
    b"\r\nno header at all\r\n",
    b"Subject: bare\nFrom: x@y.example\n\nlines end\nin LF\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n\xff\xfe\x01\x02N\r\n\n\x01\x03\nG\r\n",
    b"Subject: caf\xe9\r\nFrom: \"Ren\xe9\" <r@b.example>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9t\xe9\r\n",
    b"From: =?utf-8?q?=C3=89ric?= <e@b.example>\r\nTo: Group: a@x.example, \"B, C\" <b@x.example>;, d@x.example\r\nCc: undisclosed-recipients:;\r\nSubject: =?utf-8?b?w6l0w6k=?=\r\n folded\r\n\tagain\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000 (UTC)\r\n\r\nx\r\n",
    b"From: a@b.example (Comment (nested))\r\nSender: s@b.example\r\nReply-To: <r@b.example>, \"quo\\\"ted\\\\\" <q@b.example>\r\nBcc: hidden@b.example\r\n\r\nx\r\n",
    b"From: <@route.example:a@b.example>\r\nTo: no-at-sign, @no-local.example, <>\r\nSubject:\r\n\r\nx\r\n",
    b"Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n--=_b\r\n\r\none\r\n--=_b\r\nContent-Type: text/html; charset=\"utf-8\"; format=flowed\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-ID: <id@x>\r\nContent-Description: a \"description\"\r\nContent-Language: fr, en\r\nContent-Location: http://x/\r\nContent-MD5: abc\r\nContent-Disposition: attachment; filename=\"a b.html\"; size=3\r\n\r\n<p>\r\n--=_b--\r\nepilogue\r\n",
    b"Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/related; boundary=ab\r\n\r\n--ab\r\n\r\nx\r\n--ab--\r\n--a\r\nContent-Type: image/png; name=\"x.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBOR\r\n--a--\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: in@b.example\r\nSubject: inner\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Type: text/plain\r\n\r\ninner text\r\n--y--\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n--x--\r\n",
    b"Content-Type: message/rfc822\r\n\r\nSubject: whole\r\n\r\nbody\r\n",
    b"Content-Type: multipart/mixed; boundary=never\r\n\r\nno boundary comes\r\n",
    b"Content-Type: multipart/mixed; boundary=open\r\n\r\n--open\r\nContent-Type: text/plain\r\n\r\nnot closed\r\n",
    b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nno boundary is named\r\n--x--\r\n",
    b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: in a digest\r\n\r\none\r\n--d\r\n\r\nSubject: second\r\n\r\ntwo\r\n--d--\r\n",
    b"Content-Type: TEXT/Plain; Charset=UTF-8 (comment); x=\"a;b\"\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n\xc3\xa9\r\n",
    b"Content-Type: nonsense\r\nContent-Disposition: ; filename=x\r\n\r\nx\r\n",
    b"Content-Type: application/pdf; name*=utf-8''caf%C3%A9.pdf; name*0=\"a\"; name*1=\"b\"\r\n\r\nx\r\n",
    b"Subject: one\r\nSubject: two\r\nFrom: a@b.example\r\nFrom: c@d.example\r\nTo: a@b.example\r\nTo: c@d.example\r\n\r\nx\r\n",
    b"From a@b.example Fri Nov 20 12:00:00 2026\r\nSubject: mbox\r\n\r\n>From the\r\n",
];
