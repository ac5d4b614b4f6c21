-- PostfixAdmin 3.3's tables on PostgreSQL, for a directory that begins empty. PostgreSQL's container
-- runs this once, when it makes the database. PostfixAdmin's upgrade script finds version 1847.

CREATE TABLE config (
    id serial PRIMARY KEY,
    name varchar(20) NOT NULL UNIQUE,
    value varchar(20) NOT NULL
);
INSERT INTO config (name, value) VALUES ('version', '1847');

CREATE TABLE admin (
    username varchar(255) PRIMARY KEY,
    password varchar(255) NOT NULL DEFAULT '',
    superadmin boolean NOT NULL DEFAULT false,
    phone varchar(30) NOT NULL DEFAULT '',
    email_other varchar(255) NOT NULL DEFAULT '',
    token varchar(255) NOT NULL DEFAULT '',
    token_validity timestamp with time zone DEFAULT '2000-01-01',
    created timestamp with time zone DEFAULT now(),
    modified timestamp with time zone DEFAULT now(),
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE domain (
    domain varchar(255) PRIMARY KEY,
    description varchar(255) NOT NULL DEFAULT '',
    aliases integer NOT NULL DEFAULT 0,
    mailboxes integer NOT NULL DEFAULT 0,
    maxquota bigint NOT NULL DEFAULT 0,
    quota bigint NOT NULL DEFAULT 0,
    transport varchar(255) DEFAULT NULL,
    backupmx boolean NOT NULL DEFAULT false,
    password_expiry integer DEFAULT 0,
    created timestamp with time zone DEFAULT now(),
    modified timestamp with time zone DEFAULT now(),
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE domain_admins (
    id serial PRIMARY KEY,
    username varchar(255) NOT NULL,
    domain varchar(255) NOT NULL,
    created timestamp with time zone DEFAULT now(),
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE mailbox (
    username varchar(255) PRIMARY KEY,
    password varchar(255) NOT NULL DEFAULT '',
    name varchar(255) NOT NULL DEFAULT '',
    maildir varchar(255) NOT NULL DEFAULT '',
    quota bigint NOT NULL DEFAULT 0,
    local_part varchar(255) NOT NULL,
    domain varchar(255) REFERENCES domain,
    phone varchar(30) NOT NULL DEFAULT '',
    email_other varchar(255) NOT NULL DEFAULT '',
    token varchar(255) NOT NULL DEFAULT '',
    token_validity timestamp with time zone DEFAULT '2000-01-01',
    password_expiry timestamp with time zone DEFAULT '2000-01-01',
    created timestamp with time zone DEFAULT now(),
    modified timestamp with time zone DEFAULT now(),
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE alias (
    address varchar(255) PRIMARY KEY,
    goto text NOT NULL,
    domain varchar(255) NOT NULL REFERENCES domain,
    created timestamp with time zone DEFAULT now(),
    modified timestamp with time zone DEFAULT now(),
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE alias_domain (
    alias_domain varchar(255) PRIMARY KEY REFERENCES domain ON DELETE CASCADE,
    target_domain varchar(255) NOT NULL REFERENCES domain ON DELETE CASCADE,
    created timestamp with time zone DEFAULT now(),
    modified timestamp with time zone DEFAULT now(),
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE quota2 (
    username varchar(100) PRIMARY KEY,
    bytes bigint NOT NULL DEFAULT 0,
    messages integer NOT NULL DEFAULT 0
);

CREATE TABLE log (
    id serial PRIMARY KEY,
    timestamp timestamp with time zone DEFAULT now(),
    username varchar(255) NOT NULL DEFAULT '',
    domain varchar(255) NOT NULL DEFAULT '',
    action varchar(255) NOT NULL DEFAULT '',
    data text NOT NULL DEFAULT ''
);
