"""The secrets pack: every provider's keys where people write them, what only looks like them, and what the pack says of itself."""

import base64
import hashlib
import json
import re
import string
import zlib

import pytest
from guardai.text import StreamMasker, mask, packs, scan
from guardai.text.detectors.safety import refusal
from guardai.text.packs import assigned
from guardai.text.validators import VALIDATORS, checked, keys
from guardai.text.validators.keys import entropy, ordinary, strength
from hypothesis import given
from hypothesis import strategies as st
from secret_samples import SAMPLES, github, made


FREE = [sample for sample in SAMPLES if sample.free]
IDS = [f"{sample.label}-{at}" for at, sample in enumerate(FREE)]


def secrets(text):
    return [(text[f.start : f.end], f.label) for f in scan(text) if f.label.startswith("secret.")]


def camel(name):
    first, *rest = name.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)


FORMS = {
    "an environment file": "# settings\n{NAME}={value}\nPORT=80\n",
    "a shell's export": 'export {NAME}="{value}"\n',
    "YAML": "app:\n  {name}: {value}\n  port: 80\n",
    "JSON": '{{"{camel}": "{value}", "port": 80}}',
    "Python": '{name} = "{value}"\n',
    "JavaScript": "const {camel} = '{value}';\n",
    "a command": "tool --{dashed} {value} --verbose\n",
    "prose": "our {words} is {value}, keep it\n",
    "a URL's query": "https://h.example.com/x?{name}={value}&y=1\n",
    "XML": "<{camel}>{value}</{camel}>",
    "properties": "app.{dotted}={value}\n",
    "a call": 'settings.set("{NAME}", "{value}")\n',
    "JSON within JSON": '{{"text": "{{\\"{camel}\\": \\"{value}\\"}}"}}',
}


def written(form, name, value):
    low = name.lower()
    return FORMS[form].format(
        NAME=name,
        name=low,
        camel=camel(name),
        dashed=low.replace("_", "-"),
        dotted=low.replace("_", "."),
        words=low.replace("_", " "),
        value=value,
    )


@pytest.mark.parametrize("sample", FREE, ids=IDS)
def test_every_key_is_found_where_people_write_it(sample):
    for seed, form in enumerate(FORMS):
        value = sample.value(seed)
        text = written(form, sample.name or "THING", value)
        wanted = {sample.label}
        if sample.label == "secret.generic" and form == "a command":
            wanted = {"secret.command_password"}
        elif sample.label == "secret.generic" and form == "JSON within JSON":
            wanted |= {"secret.authorization"}
        found = secrets(text)
        assert [pair[0] for pair in found] == [value], form
        assert {pair[1] for pair in found} <= wanted, form


@pytest.mark.parametrize("sample", [s for s in SAMPLES if not s.free], ids=lambda s: s.label)
def test_a_key_that_something_announces_is_found_behind_it(sample):
    for seed in range(10):
        value, (before, after) = sample.value(seed), sample.text(seed)
        assert (value, sample.label) in secrets(f"It says {before}{value}{after}\nand so on")


@pytest.mark.parametrize("sample", [s for s in FREE if not s.name], ids=lambda s: s.label)
def test_a_prefix_alone_makes_no_key(sample):
    for near in (sample.value(most=3), sample.value(fill="x")):
        assert sample.label not in {label for _, label in secrets(f"see {near} there")}


@pytest.mark.parametrize("sample", [s for s in FREE if s.name and s.label != "secret.generic"], ids=lambda s: s.label)
def test_a_name_alone_makes_no_key(sample):
    for near in (sample.value(most=6), sample.value(fill="x"), f"YOUR_{sample.name}", f"${{{sample.name}}}"):
        assert sample.label not in {label for _, label in secrets(f"{sample.name}={near}\n")}
    # What has the shape and stands near no such name is nobody's.
    assert sample.label not in {label for _, label in secrets(f"checksum={sample.value()}\n")}


@pytest.mark.parametrize(
    "text",
    [
        # identifiers and digests
        "id: 123e4567-e89b-12d3-a456-426614174000",
        "commit " + hashlib.sha1(b"x", usedforsecurity=False).hexdigest(),
        "index 9fceb02..d0ae598 100644",
        "sha256:" + hashlib.sha256(b"x").hexdigest(),
        "integrity sha512-" + base64.b64encode(hashlib.sha512(b"x").digest()).decode(),
        "etag: " + hashlib.md5(b"x", usedforsecurity=False).hexdigest(),
        f'"resolved": "https://registry.example.com/a/-/a-1.2.3.tgz#{hashlib.sha1(b"y", usedforsecurity=False).hexdigest()}"',
        f'{{"name": "left-pad", "hash": "{hashlib.sha256(b"z").hexdigest()}", "version": "1.3.0"}}',
        "sk-learn-estimator-container-fitted-with-many-options",
        "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 8).decode(),
        base64.b64encode(hashlib.sha512(b"q").digest() * 40).decode(),
        "00000000: 8950 4e47 0d0a 1a0a 0000 000d 4948 4452  .PNG........IHDR",
        "!function(e,t){var n=e.token||t.key,r=n.secret;return r?n(r,{password:t.p,apiKey:e.k}):null}(a,b);",
        "ssh-ed25519 " + base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519" + bytes(range(36))).decode() + " me@host",
        "-----BEGIN CERTIFICATE-----\n" + base64.b64encode(bytes(range(96))).decode() + "\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(bytes(range(96))).decode() + "\n-----END PUBLIC KEY-----",
        "eyJ" + "ub3RqYXNvbg" * 2 + "." + "cGF5bG9hZA" * 3 + "." + "c2lnbmF0dXJl" * 3,
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        # blanks
        "API_KEY=YOUR_API_KEY",
        "api_key: <your-api-key>",
        'api_key = "your-api-key-here"',
        "API_KEY=xxxxxxxxxxxxxxxxxxxxxxxx",
        "API_KEY=...",
        "token: <token>",
        "token: [token]",
        "password: ${DB_PASSWORD}",
        "password: $DB_PASSWORD",
        "password: %DB_PASSWORD%",
        "password: {{ vault_password }}",
        "password: {{password}}",
        "<%= ENV['DB_PASSWORD'] %>",
        "password=changeme",  # a blank: it is written to be replaced
        "password: change_me_1",
        "password: ********",
        "password: ••••••••",
        "password: placeholder1",
        "secret: example-secret-1",
        "apiKey: process.env.API_KEY_2",
        "apiKey: import.meta.env.VITE_API_KEY_2",
        'api_key = os.environ["API_KEY_2"]',
        'api_key = os.getenv("API_KEY_2")',
        'secret = config["secret_2"]',
        "secret: ${{ secrets.DEPLOY_KEY_2 }}",
        "password: !vault |",
        "secret_arn: arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod-AbCdE1",
        "op://vault/item2/password",
        # code
        "password = get_password()",
        "password: str = None",
        "token = tokens[0]",
        "token = self.tokens[12]",
        "secret = keypair[:32]",
        "token: Token2 = next_token",
        "private_key: x25519.X25519PrivateKey",
        "key_hi = _mm512_srli_epi64",
        '"pwdcompare", "pwdencrypt", "pass", "pixelfragment"',
        "password_reset_url: https://h.example.com/reset/abc123",
        "password_min_length = 12",
        "max_tokens: 128000",
        '"token_type": "bearer"',
        '<input type="password" name="password" id="inputPassword1">',
        'label for="password1"',
        "assert user.password == password2",
        "keyid=A1B2C3D4E5F60718",
        "user_secret_id: 4fzzzxjylrx9",
        'USER = "tester"\nPASSWD = "test123"',
        "ReactNativeCameraKit: " + hashlib.sha1(b"k", usedforsecurity=False).hexdigest(),
        "heroku_app_id=123e4567-e89b-12d3-a456-426614174000",
        "docker run -u 1000:1000 image",
        "--password PASSWORD",
        "--password-file /run/secrets/pw1",
        "--secret id=npmrc,src=.npmrc",
        "--max-tokens 4096",
        # sentences
        "Enter your password: ",
        "The password is required.",
        "The password is too short, use 8-16 characters.",
        "The password must be at least 8 characters long.",
        "passwords are hashed with argon2id",
        "the password hash is sha256",
        "your token is valid until 2024-01-01T00:00:00Z",
        "api keys are rotated every 90days",
        "Basic authentication is used for version2",
        "Bearer of bad news",
        "the bearer token authentication2 scheme",
        "secret santa is on 2024-12-24",
        "Passwort: Bitte Passwort eingeben",
        "mot de passe oublié ?",
        "Contraseña incorrecta",
        "пароль должен содержать 8 символов",
        "密码不能为空",
        "パスワードを入力してください",
        "비밀번호를 입력하세요",
        '{"login.password.label": "Password", "login.password.hint": "At least 8 characters"}',
        "PWD=/home/user1/project2",
        "passed: 120, failed: 3, pass 1 of 3",
    ],
)
def test_what_only_looks_like_a_secret_is_left_alone(text):
    assert secrets(text) == []


PASSWORD = made("{p12}", "told")
TOLD = [
    "Password (temporary): {}",
    "Passwort (vorläufig) = {}",
    "Password [temp]: {}",
    "Password 2: {}",
    "password #1: {}",
    "password/PIN: {}",
    "password → {}",
    "Passwort ⇒ {}",
    "The password is {}.",
    "His password for the admin panel is {}, please change it",
    "password for root: {}",
    "user: bob pass: {}",
    "Das Passwort lautet {}.",
    "Le mot de passe est {}",
    "La contraseña es {}",
    "La password è {}",
    "A senha é {}",
    "Het wachtwoord is {}",
    "Hasło to {}",
    "Lösenordet är {}",
    "Adgangskoden er {}",
    "Salasana on {}",
    "Heslo je {}",
    "Пароль: {}",
    "пароль — {}",
    "密码是{}",
    "密码：{}",
    "パスワードは {} です",
    "비밀번호는 {} 입니다",
    "Şifre: {}",
    "Mật khẩu: {}",
    "كلمة المرور: {}",
    "पासवर्ड: {}",
    "  - name: DB_PASSWORD\n    value: {}\n",
    "environment:\n  - MYSQL_ROOT_PASSWORD={}\n",
    '<add key="Password" value="{}" />',
    '<property name="connection.password" value="{}" />',
    "'password' => '{}',",
    'password: str = "{}"',
    'var password string = "{}"',
    "define('DB_PASSWORD', '{}');",
    'if (password == "{}") {{',
    "ALTER ROLE bob WITH ENCRYPTED PASSWORD '{}';",
    "CREATE USER bob IDENTIFIED WITH mysql_native_password BY '{}';",
    "Server=tcp:db.example.com;User ID=sa;Password={};Encrypt=True",
    "Server=tcp:db.example.com;Password={};User ID=sa",
    "<password>\n    {}\n</password>",
    "Driver={{ODBC Driver 18}};Uid=sa;Pwd={}",
    "jdbc:postgresql://db.example.com/x?user=app&password={}&ssl=true",
    "sshpass -p '{}' ssh root@h",
    "mysql -u root -p{} db",
    "redis-cli -h h -a {} ping",
    "requirepass {}\n",
    "curl --user 'admin:{}' https://h.example.com",
    "machine h.example.com login bob password {}",
    "tool --db-password={} run",
    # names that end in a short word, and names in one word
    'const dbPass = "{}";',
    "rootPw: {}",
    "MYSQLPASS={}",
    "smtppass={}",
    "pass1={}",
    "WIFI_PSK={}",
    "wpa-psk: {}",
    "mdp: {}",
    "clave: {}",
    "SECRET={}",
    "JWT_SECRET={}",
    'secret_key: "{}"',
    "REDIS_AUTH={}",
    # lined up
    'admin_password          = "{}"',
    "password:                          {}",
    # a name and a value, apart
    '{{"name":"DB_PASSWORD","value":"{}"}}',
    '{{"key":"password","value":"{}"}}',
    'variable "db_password" {{ default = "{}" }}',
    'variable "db_password" {{\n  type      = string\n  sensitive = true\n  default   = "{}"\n}}',
    # nothing but a space between
    "ENV DB_PASSWORD {}",
    "the admin's password {}",
    "temp pw {}",
    "password -> {}",
    "| password | {} |",
    # commands
    "docker login -u bob -p {} registry.example.com",
    "az login --service-principal -u app -p '{}' --tenant t",
    "New-Thing -Password {} -Force",
    "keytool -list -storepass {}",
    "curl -ubob:{} https://h.example.com",
    "http -a bob:{} h.example.com",
    'echo "root:{}" | chpasswd',
    # calls
    'requests.get(url, auth=("bob","{}"))',
    'HTTPBasicAuth("bob", "{}")',
    'new NetworkCredential("bob", "{}")',
    'DriverManager.getConnection(url,"root","{}")',
    'mysqli_connect("h", "root", "{}", "db")',
    'ConvertTo-SecureString "{}" -AsPlainText',
    # in the languages and capitals of others
    "HASŁO: {}",
    "Hasło: {}",
    "CONTRASEÑA: {}",
    "ŞİFRE: {}",
    "JELSZÓ: {}",
    "Κωδικός: {}",
    "ΚΩΔΙΚΟΣ: {}",
    "Пароли: {}",
    "Пароль - {}",
    "Пароль от почты: {}",
    "Пароль от новой почты — {}",
    "Κωδικός πρόσβασης: {}",
    "Mật khẩu là {}",
    "MẬT KHẨU: {}",
    "Mật khẩu của tôi là {}",
    # in code
    'const PASSWORD: &str = "{}";',
    'static DB_PASSWD: &\'static str = "{}";',
    'char password[32] = "{}";',
    'const char passwd[] = "{}";',
    'var password [32]byte = "{}"',
    'PASSWORD = """{}"""',
    "password = '''{}'''",
    'password: str | None = "{}"',
    'password: Optional[str] = "{}"',
    'password: Union[str, None] = "{}"',
    'password = SecretStr("{}")',
    "password=SecretStr('{}'),",
    'String password = new String("{}");',
    'let passwd = String::from("{}");',
    'var password = []byte("{}")',
    'password = ("{}")',
    'password <- "{}"',
    "password: !!str {}",
    "password: &admin {}",
    'const p = process.env.DB_PASSWORD ?? "{}";',
    'p = os.environ.get("DB_PASSWORD") or "{}"',
    "p = os.environ['DB_PASSWORD'] or '{}'",
    'self.password = password or "{}"',
    "$p = getenv('DB_PASS') ?: '{}';",
    # a test that passes has a name behind it, and people write passwords there
    "PASS: {}",
    # on the line below
    "Password:\n{}",
    "Username:\r\njoe\r\nPassword:\r\n{}\r\n",
    "Password: \n```\n{}\n```",
    "Password:\n\n```text\n{}\n```",
    'Content-Disposition: form-data; name="password"\r\n\r\n{}\r\n--x',
    'Content-Disposition: form-data; name="user[password]"\r\n\r\n{}\r\n--x',
    # in markup
    "**Password:** {}",
    "**Password**: {}",
    "**Password: {}**",
    "- *Password:* {}",
    "__Password:__ {}",
    "Password: **{}**",
    "**Password**: `{}`",
    "The password is **{}**.",
    "| **Password** | {} |",
    "| Password | `{}` |",
    "| Password | **{}** |",
    "| db_password    | {}    |",
    "<b>Password:</b> {}",
    "<b>Password</b>: {}",
    "<strong>Password:</strong> <code>{}</code>",
    "<td>Password</td><td>{}</td>",
    '<td><b>Password</b></td>\n  <td class="x">{}</td>',
    "<dt>Password</dt><dd>{}</dd>",
    "<name>db.password</name>\n  <value>{}</value>",
    # in the clothes of a format
    "<Password><![CDATA[{}]]></Password>",
    '<password type="string">{}</password>',
    "password=&quot;{}&quot;",
    "%22password%22%3A%22{}%22",
    '{{"a": "{{\\\\\\"password\\\\\\":\\\\\\"{}\\\\\\"}}"}}',
]


@pytest.mark.parametrize("text", TOLD)
def test_a_password_is_found_however_it_is_told(text):
    assert [value for value, _ in secrets(text.format(PASSWORD))] == [PASSWORD]


#: What people choose: words, and what the rules of a form made them add.
CHOSEN = [
    "Winter" + "2024!",
    "S3cur3" + "P@ss",
    "Str0ng" + "!Pass",
    "Default" + "#2024",
    "None" + "4me!",
    "Hidden" + "4You!",
    "Tr0ub4" + "dor&3",
]


@pytest.mark.parametrize("value", [*CHOSEN, "$ecret" + "2024!", "ab(cd)" + "12EF"])
def test_what_people_choose_is_found_to_its_end(value):
    for form in ("password={}", 'password = "{}"', "DB_PASS={}\n", "password: {}, and more"):
        assert [found for found, _ in secrets(form.format(value))] == [value], form


#: (a string with another quote in it, what stands between its own)
QUOTED = [
    ('"{}"', 'a\\"b3' + "cur3X"),
    ("'{}'", "Xy12zk" + "\\'Secret9"),
    ('"{}"', "Xy12zk" + "'Secret9"),
    ("'{}'", 'Xy12zk"Secret9'),
    ("'{}'", "Xy12zk" + "''Secret9"),
    ('"{}"', "Xy12zk" + "\\\\9Secret"),
    ('\\"{}\\"', "Xy12zk" + '\\\\\\"Secret9'),
]


@pytest.mark.parametrize(("quotes", "value"), QUOTED)
@pytest.mark.parametrize("form", ["password={}", "DB_PASS = {}", "password: {}, and more", "client_secret={}"])
def test_a_quote_within_a_string_ends_no_value(quotes, value, form):
    value = value + "bM4tq" if "secret" in form else value
    text = form.format(quotes.format(value))
    assert secrets(text) == [(value, "secret.generic")]
    assert through(text) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        """q = "password='"+password1+"'" """,
        """q = 'user=' . $u . '&password="' . $passw0rd . '"'""",
        """print(f"password='{pw1X}'", 'b"')""",
    ],
)
def test_a_string_that_code_joins_is_no_value(text):
    assert secrets(text) == []


#: What people choose of several words.
PHRASES = ["correct horse battery staple", "two words" + "99", "Summer " + "2024!", "zebra4 " + "Lamp nine"]


@pytest.mark.parametrize("value", PHRASES)
@pytest.mark.parametrize("form", ['password = "{}"', "DB_PASSWORD='{}'", '{{"passwd": "{}", "x": 1}}', "pass: '{}'\n"])
def test_a_string_of_several_words_is_a_password_where_one_is_assigned(value, form):
    text = f"So: {form.format(value)} and on and on"
    assert secrets(text) == [(value, "secret.generic")]
    for size in (1, 2, 3, 7, 19, 40):
        assert through([text[at : at + size] for at in range(0, len(text), size)]) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        'password: "Enter your new password"',
        '"password": "Forgot password?"',
        "password = 'at least 8 characters'",
        '"password": "This field is required."',
        "password = 'sha256 base64 utf8 rfc2898'",
        'password="Bitte mindestens 8 Zeichen"',
        'password: "Mot de passe oublié"',
        "password = 'two words' + str(99)",
        "correct horse battery staple",
        'say "password" to me99 "please"',
    ],
)
def test_words_for_a_person_to_read_are_no_password(text):
    assert secrets(text) == []


def test_a_stream_waits_where_a_string_has_begun_and_not_behind_every_password():
    stream = StreamMasker()
    assert stream.feed("the password of the token is a secret to ") == "the password of the token is a secret to "
    assert stream.feed('me, password = "two ') == "me, "
    assert stream.feed("words") == ""
    assert (stream.feed('99", ') + stream.feed("and so on " * 10)).startswith('password = "[SECRET:GENERIC]", and so')


def test_an_ampersand_before_a_name_ends_a_value():
    assert secrets(f"login?password={CHOSEN[0]}&user=bob")[0][0] == CHOSEN[0]
    assert secrets(f"password={CHOSEN[0]}&amp;user=bob")[0][0] == CHOSEN[0]


KEY = made("{a32}", "a key")


@pytest.mark.parametrize("word", assigned._KEY_WORDS)
def test_every_kind_of_key_is_found_however_its_words_are_joined(word):
    for joint in ("", "_", "-", " ", "."):
        for name in (f"{word}{joint}key", f"{word}{joint}Key", f"{word}{joint}key".upper()):
            assert [found for found, _ in secrets(f"{name}: {KEY}\n")] == [KEY], name


@pytest.mark.parametrize(
    "name",
    [
        "clé API : ",
        "API-Schlüssel: ",
        "API Schlüssel: ",
        "APIキー：",
        "密钥：",
        "токен: ",
        "clave API: ",
        "API-Key lautet ",
        "GH_PAT=",
    ],
)
def test_a_key_is_found_by_its_name_in_other_languages(name):
    assert [found for found, _ in secrets(f"{name}{KEY}\n")] == [KEY]


@pytest.mark.parametrize(
    "text", ["apikey {}", "use token {} to log in", "Api-Token {}", "shared_secret {}", "the access-key {}."]
)
def test_a_key_is_found_behind_its_name_alone_in_a_stream_too(text):
    text = f"So: {text.format(KEY)}\nand on"
    assert [found for found, _ in secrets(text)] == [KEY]
    assert {through([text[:cut], text[cut:]]) for cut in range(len(text))} == {mask(text)}


@pytest.mark.parametrize(
    "text",
    [
        "**API key:** {}",
        "**API Key**: `{}`",
        "API Key: **{}**",
        "- **Token:** `{}`",
        "|API key|{}|",
        "| API key | `{}` |",
        "| **Access token** | {} |",
        "<td>API key</td><td><code>{}</code></td>",
        "<key>ApiKey</key>\n\t<string>{}</string>",
        "API key:\n{}",
        'name="api_key"\r\n\r\n{}\r\n--x',
        'const API_KEY: &str = "{}";',
        'char api_key[] = "{}";',
        'apiKey := []byte("{}")',
        'api_key = str("{}")',
        'api_key<-"{}"',
        "TOKEN: &x {}",
        'process.env.API_KEY ?? "{}"',
        'os.environ.get("API_KEY") or "{}"',
        'System.getenv("API_TOKEN") ?: "{}"',
        "$env:SECRET='{}'",
        '$env:API_KEY = "{}"',
        '"Jwt:SecretKey": "{}"',
        "auth:token={}",
    ],
)
def test_a_key_is_found_in_markup_in_code_and_behind_the_name_of_a_section(text):
    text = f"So: {text.format(KEY)}\nand on"
    assert [found for found, _ in secrets(text)] == [KEY]
    assert {through([text[:cut], text[cut:]]) for cut in range(len(text))} == {mask(text)}


@pytest.mark.parametrize(
    "text",
    [
        # below, beside and around
        "Password:\nForgot?",
        "Password:\nForgotten2?",
        "Password:\n\n- at least 8 characters",
        "Password:\n```\nsee RFC2898\n```",
        'x = "password"\n\nclass FooBar2000:\n',
        "**Password:** required",
        "**Password**: the password of the user",
        "**Password**: **********",
        "<td>Password</td><td>VARCHAR(255)</td>",
        "<td>Password</td><td>PBKDF2</td>",
        '<label>Password</label>\n<input type="password" id="Pass12345">',
        "<b>Password:</b> Forgot?",
        "password: *default_pass1",
        "f(token=token, **kwargs1)",
        "|API key|string|",
        "<key>AccessToken</key>\n<string>$(ACCESS_TOKEN_2)</string>",
        # code
        "const PASSWORD: &str = get_password1();",
        "char password[32] = {0};",
        'password = input("Password2: ")',
        'token = config.get("AccessTokenV2")',
        'use "password" or "passphrase1"',
        f'{{:secret, "{KEY}"}}',
        f'[key: :token, "{KEY}"]',
        "urn:acme:token:a1b2c3d4e5f6a7b8",
        # what is signed with a key, what passed, how many there are
        "System.Data, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089",
        "--- PASS: TestParseV2 (0.00s)",
        "PASS: libfoo.so.1.2",
        "PASS: 1234567",
        "pass=123456 fail=12",
        "pass: 123456, fail: 12",
        "password attempts: 123456",
        "passwordStrength: 100000",
        "passwords leaked: 1000000",
        "tokens used in total: 1234567",
        "token symbol: USDC2024",
        "passwd:x:1000:1000",
        # in other languages
        "Пароль от почты: забыт",
        "пароль - от 8 символов",
        "Пароль должен быть не короче 8 символов",
        "Mật khẩu là bắt buộc",
    ],
)
def test_what_stands_beside_a_secret_s_name_and_is_none_is_left_alone(text):
    assert secrets(text) == []


@pytest.mark.parametrize(
    "text", ["user=bob&pass={}", "DB_PASS={}", 'pass="{}"', "The password is {}", "password for root: {}"]
)
def test_digits_alone_are_a_password_where_nothing_is_counted(text):
    assert [value for value, _ in secrets(text.format("123456"))] == ["123456"]


SIGNATURE = made("{h64}", "signed")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250102/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, "
            "Signature={}",
            SIGNATURE,
        ),
        (
            "authorization: TC3-HMAC-SHA256 Credential=AKIDEXAMPLE/2025-01-02/cvm/tc3_request, SignedHeaders=host,Signature={}",
            SIGNATURE,
        ),
        (
            'Authorization: Digest username="bob", realm="a", nonce="b", uri="/", response="{}", opaque="c"',
            SIGNATURE[:32],
        ),
        (
            'Authorization: OAuth oauth_nonce="a", oauth_signature="{}", oauth_version="1.0"',
            made("{a26}", "signed") + "%3D",
        ),
        ('Authorization: Signature keyId="a",algorithm="rsa-sha256",signature="{}"', made("{a86}", "signed") + "=="),
    ],
)
def test_a_signature_of_a_header_is_masked_and_not_the_name_of_its_algorithm(text, value):
    text = text.format(value)
    assert secrets(text) == [(value, "secret.authorization")]
    assert through(text) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "def f(a, signature=None, response=None):",
        "f(a, signature=inspect.signature(function_that_is_called))",
        'f(a, response="the answer of the server in words")',
        "Authorization: AWS4-HMAC-SHA256 Credential=...",
    ],
)
def test_what_is_called_a_signature_in_code_is_none(text):
    assert secrets(text) == []


UUID = made("{uuid}", "no key")


@pytest.mark.parametrize("word", assigned._PLAIN_KEYS)
def test_a_key_that_is_no_secret_is_left_alone(word):
    for value in (UUID, KEY):
        assert secrets(f"{word}_key: {value}") == secrets(f"{word.upper()}-KEY={value}") == []
    assert secrets(f'{word}Key: "{KEY}"') == []


@pytest.mark.parametrize("word", assigned._PLAIN_TOKENS)
def test_a_token_that_says_where_to_go_on_is_left_alone(word):
    for name in (f"{word}_token", f"{word}Token", f"{word}-token".upper(), f"{word}PageToken"):
        assert secrets(f'"{name}": "{KEY}"') == []


@pytest.mark.parametrize("about", [*assigned._ABOUT, "age", "changed_at"])
def test_what_is_about_a_secret_is_none(about):
    for name in ("token", "secret", "password", "api_key"):
        assert secrets(f"{name}_{about}: {KEY}") == []
        assert secrets(f'{name}{about.title()}="{KEY}"') == []


@pytest.mark.parametrize(
    "text",
    [
        f"tenant_key: {UUID}",
        "password (string): the user's password",
        "token (str): API token for auth",
        "password (8-20 characters): required",
        "password 2: repeat password",
        "password: 8–16 characters",
        "Passwort: 8‑20 Zeichen",
        "PWD=/home/jürgen1",
        "password_file: /etc/schlüssel/db1.txt",
        'passwords[0]: "hello"',
        '"password": "Пароль"',
        '"password": "パスワード"',
        '"password": "비밀번호"',
        '"password": "Κωδικός"',
        '"password": "密码不能为空"',
        '"password": "Пароль обязателен."',
        "'password' => '密码错误。'",
        "password: введите",
        "token count: 12345678",
        "pwdLastSet: 133456789012345678",
        "passenger=AB123456",
        "PASSENGER: AB123456",
        "renderPass = depth24stencil8",
        "bypass=abc123def456",
        "the password policy2024Rules",
        "a password SHA256Crypt hash",
        "password: default_1",
        "password: none",
        "secret: my-secret-1",
        "docker login -u bob -p $TOKEN",
        'echo "time:12:30:45"',
        'auth=("user", "password")',
        "sort -k 2 -p 5432",
        f"the secret {UUID} is gone",
        "secret: user@host1",
        "| password | PBKDF2 |",
        "a token getAuthorizationTokenForUser2024 of the code",
        "secret sh-helm-release-v1-frontend-v12",
    ],
)
def test_what_bears_a_similar_name_is_left_alone(text):
    assert secrets(text) == []


@pytest.mark.parametrize(
    "told",
    ["my password is {}", "the token is {}", "wifi password {}", "密码：{}", "пароль: {}", "sshpass -p {} ssh h", "curl https://x.io -u bob:{}",
     "bash -c 'mysql --password {}'", "redis-cli -a {}"],
)  # fmt: skip
@pytest.mark.parametrize("around", [None, '"{}"', "[{}]", "({})", "he said {}, ok"])
def test_what_is_told_in_a_string_of_json_is_masked_and_the_text_stays_json(told, around):
    inside = told.format(PASSWORD)
    for whole in (
        json.dumps({"content": inside, "b": "x"}, ensure_ascii=False, separators=(",", ":")),
        json.dumps({"content": (around or "{}").format(inside)}, ensure_ascii=False),
        json.dumps(
            {"body": json.dumps({"content": (around or "{}").format(inside)}, ensure_ascii=False)}, ensure_ascii=False
        ),
    ):
        masked = mask(whole)
        assert PASSWORD not in masked
        json.loads(masked)
        for size in (1, 4, 30):
            assert through([whole[at : at + size] for at in range(0, len(whole), size)]) == masked


@pytest.mark.parametrize(
    "told", ["my password is {}", "Passwort ist {}", "密码：{}", "пароль: {}", "пароль = '{}'", "hasło {}"]
)
@pytest.mark.parametrize("value", ["Zx\\9Qw!7k", "Qz#7\\o9iC", "\\9Qw!7kZx"])
def test_backslash_is_a_sign_of_a_password_like_any_other(told, value):
    text = f"{told.format(value)} and more"
    masked = mask(text)
    assert masked == text.replace(value, "[SECRET:GENERIC]")
    for size in (1, 4, 30):
        assert through([text[at : at + size] for at in range(0, len(text), size)]) == masked


@pytest.mark.parametrize("told", ["密码：{} next", "пароль: {}", "пароль = {};"])
@pytest.mark.parametrize("value", ['q"w7Zt!9', "a'b8Q#zt", "Qz#7`o9iC"])
def test_quote_within_a_password_is_a_sign_of_it(told, value):
    assert mask(told.format(value)) == told.format("[SECRET:GENERIC]")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (r"curl -ubob:\$ecr3tPw9 https://x.io", "curl -ubob:[SECRET:BASIC_AUTH] https://x.io"),
        (r"http -a bob:\$ecr3tPw9! x.io", "http -a bob:[SECRET:BASIC_AUTH] x.io"),
        ("curl -ubob:Zx9Qw7k! https://a.io; curl -ubob:Ab9xQw7! https://b.io",
         "curl -ubob:[SECRET:BASIC_AUTH] https://a.io; curl -ubob:[SECRET:BASIC_AUTH] https://b.io"),
        ('["curl -ubob:Zx9Qw7k!","curl -ubob:Ab9xQw7!"]', '["curl -ubob:[SECRET:BASIC_AUTH]","curl -ubob:[SECRET:BASIC_AUTH]"]'),
        ("Password (internal): Qz#7o9iC", "Password (internal): [SECRET:GENERIC]"),
        (r"the password is Zx9Qw§!\9k(7 ok", "the password is [SECRET:GENERIC](7 ok"),
        ('비밀번호는 G.Pk3"(eFS31 입니다', "비밀번호는 [SECRET:GENERIC] 입니다"),
        ("password: Zx€y§7Qw9!k，请尽快登录系统并修改……谢谢您的配合，有问题请联系我们", "password: [SECRET:GENERIC]"),
        ("password: user—admin—Qz#7o9iC—remember-to-change-it-at-the-portal-see-docs—example", "password: [SECRET:GENERIC]"),
        ('"password":"请叫我女王陛下"', '"password":"[SECRET:GENERIC]"'),
        ("password=入力ミスゼロ作戦", "password=[SECRET:GENERIC]"),
        ("password: 例外処理大好き", "password: [SECRET:GENERIC]"),
        ('"password":"암호화폐대박"', '"password":"[SECRET:GENERIC]"'),
        ("password: Повторяка", "password: [SECRET:GENERIC]"),
    ],
)  # fmt: skip
def test_secret_in_odd_company_is_masked_whole(text, masked):
    assert mask(text) == masked
    assert mask(masked) == masked
    for size in (1, 4, 30):
        assert through([text[at : at + size] for at in range(0, len(text), size)]) == masked


@pytest.mark.parametrize(
    "text",
    ["bos token (id): 128000", "token 3: 151643", "Token #12: 345678", "token [0] = 128000", "Token (supply): 1000000000",
     "secret (name): db-cred-01a", "password (length): 123456", "password (last change): 1718000000",
     "password (utf8mb4): varchar255", "password/username: bob1234", "Unexpected token 5: 0x1F4a2b",
     "пароль: [SECRET:MEM0_KEY]", "пароль: [SECRET:AUTH0_SECRET]", "密码：[SECRET:MEM0_KEY]",
     '"password": "请输入密码"', '"password": "入力してください"', "password: повторите"],
)  # fmt: skip
def test_remark_that_announces_something_else_and_what_is_masked_are_left(text):
    assert mask(text) == text


def test_what_a_form_says_does_not_hide_a_password_behind_it():
    assert secrets('"password": "密码7#x9kQ"') == [("密码7#x9kQ", "secret.generic")]
    assert secrets('"password": "пример7#x9kQ"') == [("пример7#x9kQ", "secret.generic")]


def test_a_password_that_everybody_uses_is_one():
    assert secrets("password: hunter2 and so on") == [("hunter2", "secret.generic")]
    assert secrets("password=letmein") == [("letmein", "secret.generic")]


def through(pieces):
    masker = StreamMasker()
    return "".join([masker.feed(piece) for piece in pieces]) + masker.finish()


@pytest.mark.parametrize("text", TOLD)
def test_what_is_told_in_a_stream_is_masked_wherever_it_is_split(text):
    text = f"So: {text.format(PASSWORD)}\nand on"
    whole = mask(text)
    assert PASSWORD not in whole
    assert through(text) == whole
    for cut in range(1, len(text)):
        assert through([text[:cut], text[cut:]]) == whole


def putty(lines=6):
    body = "\n".join(made("{b64}", f"ppk{at}") for at in range(lines))
    return (
        "PuTTY-User-Key-" + "File-3: ssh-rsa\nEncryption: aes256-cbc\nComment: me on a laptop\nPublic-Lines: 2\n"
        f"{made('{b64}', 'one')}\n{made('{b20}', 'two')}==\nKey-Derivation: Argon2id\nArgon2-Memory: 8192\n"
        f"Private-Lines: {lines}\n{body}\nPrivate-MAC: {made('{h64}', 'mac')}"
    )


@pytest.mark.parametrize("key", [putty(), putty(20), putty().replace("\n", "\\n"), putty().replace("\n", "\r\n")])
def test_a_key_of_putty_is_masked_whole_in_a_stream_too(key):
    text = f"the key:\n{key}\nand more lines\n"
    assert mask(text) == f"the key:\n[SECRET:PRIVATE_KEY]{text[9 + len(key) :]}"
    for size in range(1, 40, 3):
        assert through([text[at : at + size] for at in range(0, len(text), size)]) == mask(text)


def test_a_key_of_putty_that_breaks_off_is_masked_as_far_as_it_goes():
    key = putty()
    for cut in range(len("PuTTY-User-Key-File-3: ssh-rsa"), len(key), 7):
        for rest in ("", "\n\nand more", " and more: x\n"):
            text = f"{key[:cut]}{rest}"
            assert mask(text).startswith("[SECRET:PRIVATE_KEY]")
            assert through([text[at : at + 5] for at in range(0, len(text), 5)]) == mask(text)


def test_labels_have_a_provider_and_are_described():
    for detector in packs.secrets().detectors:
        assert re.fullmatch(r"secret\.[a-z0-9]+(?:_[a-z0-9]+)*", detector.label)
        assert detector.title, detector.label
        assert detector.example, detector.label


def test_no_example_is_a_key():
    for detector in packs.secrets().detectors:
        assert secrets(detector.example) == [], detector.label


def test_there_are_the_providers_that_are_promised():
    labels = {detector.label for detector in packs.secrets().detectors}
    assert len({label.partition(".")[2].partition("_")[0] for label in labels}) >= 300
    assert {sample.label for sample in SAMPLES} >= labels - {"secret.url_password"}


# ---- the two scores ----


@given(st.text(alphabet=string.ascii_letters + string.digits, min_size=32, max_size=64))
def test_strength_is_a_share(value):
    assert 0 <= strength(value.encode()) <= 1
    assert 0 <= ordinary(value.encode()) <= 1


@pytest.mark.parametrize(
    ("value", "strong", "usual"),
    [
        (made("{a32}", "score"), (0.9, 1), (0, 0.2)),
        (made("{h40}", "score"), (0.9, 1), (0, 0.2)),
        (made("{p12}", "score"), (0.5, 1), (0, 0.3)),
        ("aaaaaaaaaaaaaaaa", (0, 0.1), (0, 1)),
        ("YOUR_API_KEY", (0, 1), (1, 1)),
        ("${SECRET}", (0, 1), (1, 1)),
        ("changeme", (0, 1), (1, 1)),
        ("process.env.TOKEN", (0, 1), (1, 1)),
        ("getRequestParameterNames", (0, 1), (0.9, 1)),
        ("/var/run/secrets/token2", (0, 1), (1, 1)),
        ("2024-01-15", (0, 1), (1, 1)),
        ("localhost:8080", (0, 1), (1, 1)),
    ],
)
def test_a_value_s_strength_and_how_ordinary_it_is_are_told_apart(value, strong, usual):
    assert strong[0] <= strength(value.encode()) <= strong[1]
    assert usual[0] <= ordinary(value.encode()) <= usual[1]


@pytest.mark.parametrize("kind", ["a24", "h32", "l32", "w40", "b40", "u32"])
def test_what_is_drawn_at_random_is_a_key(kind):
    """Of 400 keys of each kind, hardly one is taken for words."""
    for name in ("assigned", "mixed", "key", "password"):
        values = [made(f"{{{kind}}}", seed).encode() for seed in range(400)]
        assert sum(VALIDATORS[name](value) is False for value in values) <= 12, name


def test_entropy_is_shannon_s():
    assert entropy(b"aabb") == 1
    assert entropy(bytes(range(256))) == 8


# ---- what can be checked ----


def test_a_checksum_says_yes_and_never_no():
    body = made("{a30}", "crc")
    check = VALIDATORS["github"]
    assert check(github("gh" + "p_", body).encode()) is True
    assert check(("gh" + "p_" + body + "000000").encode()) is True  # a key all the same: its form may change
    assert check(("gh" + "p_" + "x" * 36).encode()) is False


def test_the_checksum_of_a_matrix_token_is_over_all_that_stands_before():
    body = "sy" + "t_" + made("{a10}_{A20}", "matrix")
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number, check = zlib.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        check = digits[digit] + check
    assert VALIDATORS["matrix"](f"{body}_{check.rjust(6, '0')}".encode()) is True
    assert VALIDATORS["matrix"](f"{body}_xxxxxx".encode()) is False


def b64(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=")


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (b'{"alg":"HS256"}', True),
        (b'{"typ":"JWT","alg":"none"}', True),
        (b'{\n  "alg": "RS256"\n}', True),
        (b'{"a":1}', False),
        (b'["alg"]', False),
        (b"{not json}", False),
        (b'{"x":"\xff\xfe"}', False),
    ],
)
def test_the_header_of_a_web_token_is_json_that_says_how_it_is_signed(header, answer):
    assert VALIDATORS["jwt"](b64(header) + b"." + b64(b'{"sub":1}')) is answer


@given(st.binary(max_size=60))
def test_whatever_bytes_a_validator_gets_it_answers(value):
    for name, check in VALIDATORS.items():
        if name in packs_validators() and value:
            assert check(value) in (True, False, None)


@pytest.mark.parametrize("module", [keys, checked], ids=lambda module: module.__name__.rpartition(".")[2])
def test_no_expression_of_a_validator_can_blow_up(module):
    for name, found in vars(module).items():
        if isinstance(found, re.Pattern):
            fold = bool(found.flags & re.IGNORECASE)
            assert refusal(found.pattern.decode("latin-1"), length=160, ignore_case=fold) is None, name


def packs_validators():
    return {d.validator for d in packs.secrets().detectors if isinstance(d.validator, str) and d.validator}


def test_a_web_token_with_a_long_header_is_masked_to_its_end():
    header = json.dumps({"alg": "RS256", "x5c": ["A" * 400]}).encode()
    token = b".".join((b64(header), b64(b'{"sub": 1}'), b64(bytes(range(64))))).decode()
    assert mask(f"jwt {token} end") == "jwt [SECRET:JWT] end"


def test_basic_credentials_are_base64_of_a_user_and_a_password():
    check = VALIDATORS["basic"]
    assert check(base64.b64encode(b"admin:" + PASSWORD.encode())) is True
    assert check(base64.b64encode(b"no colon here")) is False
    assert check(base64.b64encode(b"user:password")) is False
    assert check(base64.b64encode(b"\xff\xfe:\x00")) is False


def test_a_private_key_of_bitcoin_has_its_checksum():
    key = made("{wif}", 1)
    assert VALIDATORS["base58check"](key.encode()) is True
    assert VALIDATORS["base58check"](key[:-1].encode() + (b"2" if key[-1] != "2" else b"3")) is False
    assert secrets(f"wif: {key}") == [(key, "secret.bitcoin_private_key")]
