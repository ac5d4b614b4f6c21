"""Python's smtplib, poplib and imaplib against a server: argv is the certificate, then the ports of
submission, submissions, lmtp, imap, imaps, pop3 and pop3s. bob@example.test has an empty INBOX."""

import imaplib
import poplib
import smtplib
import ssl
import sys
from email.message import EmailMessage

CERTIFICATE, PORTS = sys.argv[1], [int(port) for port in sys.argv[2:]]
SUBMISSION, SUBMISSIONS, LMTP, IMAP, IMAPS, POP3, POP3S = PORTS
TLS = ssl.create_default_context(cafile=CERTIFICATE)
HOST = "localhost"
ALICE, BOB = "alice@example.test", "bob@example.test"


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def message(subject, body):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = ALICE, BOB, subject
    mail["Message-ID"], mail["Date"] = "<1@example.test>", "Fri, 20 Nov 2026 12:00:00 +0000"
    mail.set_content(body)
    mail.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream", filename="a.bin")
    return mail


def send():
    with smtplib.SMTP(HOST, SUBMISSION) as smtp:
        try:
            smtp.login(ALICE, "alice-password")
            raise AssertionError("a password in clear")
        except smtplib.SMTPNotSupportedError:
            pass
        smtp.starttls(context=TLS)
        try:
            smtp.login(ALICE, "wrong")
            raise AssertionError("a wrong password")
        except smtplib.SMTPAuthenticationError as error:
            equal(error.smtp_code, 535)
        equal(smtp.login(ALICE, "alice-password")[0], 235)
        equal(smtp.send_message(message("one", ".dot\nbody\n")), {})
        refused = smtp.send_message(message("two", "body\n"), to_addrs=[BOB, "nobody@example.test"])
        equal(refused["nobody@example.test"][0], 550)
    with smtplib.SMTP_SSL(HOST, SUBMISSIONS, context=TLS) as smtp:
        smtp.login(ALICE, "alice-password")
        try:
            smtp.sendmail(BOB, [ALICE], b"Subject: forged\r\n\r\nx\r\n")
            raise AssertionError("another's sender")
        except (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused):
            pass
    with smtplib.LMTP(HOST, LMTP) as lmtp:
        equal(lmtp.sendmail("x@remote.test", [BOB], b"Subject: three\r\n\r\nby LMTP\r\n"), {})


def read_pop3():
    pop3 = poplib.POP3_SSL(HOST, POP3S, context=TLS)
    assert "UIDL" in pop3.capa(), pop3.capa()
    pop3.user(BOB)
    pop3.pass_("bob-password")
    count, size = pop3.stat()
    equal(count, 3)
    sizes = [int(line.split()[1]) for line in pop3.list()[1]]
    equal(sum(sizes), size)
    lines = pop3.retr(1)[1]
    equal(sum(len(line) + 2 for line in lines), sizes[0])
    head = pop3.top(1, 0)[1]
    equal(lines[: len(head)], head)
    assert b".dot" in lines, lines
    equal(len(set(pop3.uidl()[1])), 3)
    pop3.dele(3)
    pop3.quit()
    again = poplib.POP3(HOST, POP3)
    again.stls(context=TLS)
    again.user(BOB)
    again.pass_("bob-password")
    equal(again.stat()[0], 2)
    again.quit()
    return b"\r\n".join(lines) + b"\r\n"


def read_imap(first):
    imap = imaplib.IMAP4(HOST, IMAP)
    imap.starttls(ssl_context=TLS)
    equal(imap.login(BOB, "bob-password")[0], "OK")
    equal(imap.select("INBOX"), ("OK", [b"2"]))
    equal(imap.search(None, "SUBJECT", "two"), ("OK", [b"2"]))
    equal(imap.search("UTF-8", "NOT", "SUBJECT", "two", "SEEN"), ("OK", [b"1"]))
    equal(imap.uid("FETCH", "1", "(BODY.PEEK[])")[1][0][1], first)
    kind, data = imap.fetch("1", "(ENVELOPE BODYSTRUCTURE)")
    assert b'"OCTET-STREAM" ("NAME" "a.bin")' in data[0] or b'"a.bin"' in data[0], data
    assert b'"<1@example.test>"' in data[0], data
    equal(imap.store("1", "+FLAGS", r"(\Flagged $Label1)")[0], "OK")
    kind, data = imap.fetch("1", "(FLAGS)")
    assert b"$Label1" in data[0] and rb"\Flagged" in data[0], data
    equal(imap.create('"New folder"')[0], "OK")
    equal(imap.copy("1", '"New folder"')[0], "OK")
    equal(imap.append('"New folder"', r"(\Seen)", imaplib.Time2Internaldate(0), first)[0], "OK")
    equal(imap.select('"New folder"'), ("OK", [b"2"]))
    kind, data = imap.fetch("1:*", "(RFC822)")
    equal([part[1] for part in data if isinstance(part, tuple)], [first, first])
    kind, data = imap.fetch("2", "(INTERNALDATE FLAGS)")
    assert b"1970" in data[0] and rb"\Seen" in data[0], data
    equal(imap.store("2", "+FLAGS", r"(\Deleted)")[0], "OK")
    equal(imap.expunge(), ("OK", [b"2"]))
    equal(imap.close()[0], "OK")
    equal(imap.select("INBOX")[0], "OK")
    equal(imap.rename('"New folder"', '"Old folder"')[0], "OK")
    assert any(b"Old folder" in line for line in imap.list()[1]), imap.list()
    equal(imap.delete('"Old folder"')[0], "OK")
    equal(imap.getquotaroot("INBOX")[0], "OK")
    equal(imap.logout()[0], "BYE")
    imap = imaplib.IMAP4_SSL(HOST, IMAPS, ssl_context=TLS)
    plain = lambda challenge: b"\0" + BOB.encode() + b"\0bob-password"
    equal(imap.authenticate("PLAIN", plain)[0], "OK")
    equal(imap.status("INBOX", "(MESSAGES)"), ("OK", [b"INBOX (MESSAGES 2)"]))
    imap.logout()


send()
read_imap(read_pop3())
