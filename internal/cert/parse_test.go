package cert_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/cert"
	"github.com/slipway-paas/slipway/internal/platform"
)

// openssl runs the program in dir and returns what it prints.
func openssl(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

func file(t testing.TB, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// made has openssl make a certificate of itself, in cert.pem, and key.pem.
func made(t testing.TB, newkey []string, more ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := append([]string{"req", "-x509", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "30"}, newkey...)
	if !slices.Contains(more, "-subj") {
		more = append(more, "-subj", "/CN=shop.example.com")
	}
	openssl(t, dir, append(args, more...)...)
	return dir
}

var (
	ec  = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}
	ed  = []string{"-newkey", "ed25519"}
	rsa = []string{"-newkey", "rsa:2048"}
)

func parsed(t testing.TB, dir string) platform.Certificate {
	t.Helper()
	c, err := cert.Parse(file(t, dir, "cert.pem"), file(t, dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestACertificateIsDescribedAsOpenSSLDescribesIt(t *testing.T) {
	for name, subject := range map[string]string{
		"the contract's":       "/C=US/ST=CA/L=San Francisco/O=Foo/OU=Bar/CN=*.foo.com/emailAddress=x@foo.com",
		"in another order":     "/CN=foo.com/O=Foo/C=US",
		"with rarer parts":     "/DC=com/DC=foo/serialNumber=7/street=High 1/postalCode=1/UID=u/GN=g/SN=s/title=t/CN=foo.com",
		"for extended checks":  "/jurisdictionC=US/businessCategory=Private/organizationIdentifier=NTRUS/CN=foo.com",
		"with a number for it": "/CN=foo.com/1.2.3.4=five",
	} {
		t.Run(name, func(t *testing.T) {
			dir := made(t, ec, "-subj", subject, "-addext", "subjectAltName=DNS:foo.com,DNS:*.foo.com,IP:10.0.0.1")
			c := parsed(t, dir)
			show := func(what string) string {
				_, value, _ := strings.Cut(openssl(t, dir, "x509", "-in", "cert.pem", "-noout", "-nameopt", "compat", what), "=")
				return strings.TrimSpace(value)
			}
			print, _, _ := strings.Cut(openssl(t, dir, "x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha256"), "\n")
			_, fingerprint, _ := strings.Cut(print, "=")
			for _, field := range []struct{ what, got, want string }{
				{"subject", c.Subject, show("-subject")},
				{"issuer", c.Issuer, show("-issuer")},
				{"fingerprint", c.Fingerprint, fingerprint},
				{"start", c.Starts.Format("Jan _2 15:04:05 2006 GMT"), show("-startdate")},
				{"end", c.Expires.Format("Jan _2 15:04:05 2006 GMT"), show("-enddate")},
				{"SAN", strings.Join(c.SAN, " "), "foo.com *.foo.com"},
			} {
				if field.got != field.want {
					t.Errorf("%s is %q, openssl says %q", field.what, field.got, field.want)
				}
			}
			if strings.Contains(subject, "/CN="+c.CommonName) == (c.CommonName == "") {
				t.Errorf("the common name of %s is %q", subject, c.CommonName)
			}
		})
	}
}

func TestKeysOfEveryCommonFormAreTaken(t *testing.T) {
	convert := func(args ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { openssl(t, dir, append(args, "-in", "key.pem", "-out", "key.pem")...) }
	}
	for name, test := range map[string]struct {
		newkey []string
		form   func(*testing.T, string)
	}{
		"RSA in PKCS #8":   {rsa, nil},
		"RSA in PKCS #1":   {rsa, convert("rsa", "-traditional")},
		"ECDSA in PKCS #8": {ec, nil},
		"ECDSA in SEC 1":   {ec, convert("ec")},
		"ECDSA on P-384":   {[]string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"}, nil},
		"Ed25519":          {ed, nil},
		"after parameters, with notes": {ec, func(t *testing.T, dir string) {
			prepend(t, dir, "key.pem", openssl(t, dir, "ecparam", "-name", "prime256v1"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := made(t, test.newkey)
			if test.form != nil {
				test.form(t, dir)
			}
			c := parsed(t, dir)
			if _, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key)); err != nil {
				t.Error(err)
			}
		})
	}
}

func prepend(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), append([]byte("a note\n"+text), file(t, dir, name)...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheKeyInAWholePemFileIsNotKeptWithTheChain(t *testing.T) {
	dir := made(t, ec)
	both := append(file(t, dir, "key.pem"), file(t, dir, "cert.pem")...)
	c, err := cert.Parse(both, both)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(c.Chain, "PRIVATE") || strings.Contains(c.Key, "CERTIFICATE") {
		t.Errorf("chain %q\nkey %d bytes", c.Chain, len(c.Key))
	}
}

func TestAnExpiredCertificateIsTakenWithItsDates(t *testing.T) {
	dir := made(t, ec)
	openssl(t, dir, "req", "-new", "-key", "key.pem", "-subj", "/CN=old.example.com", "-out", "request.pem")
	openssl(t, dir, "x509", "-req", "-in", "request.pem", "-signkey", "key.pem", "-days", "-1", "-out", "cert.pem")
	if c := parsed(t, dir); c.Expires.After(time.Now()) || c.Subject != "/CN=old.example.com" {
		t.Errorf("got %+v", c)
	}
}

// refused returns what Parse says of each field.
func refused(t *testing.T, chain, key []byte) map[string]string {
	t.Helper()
	_, err := cert.Parse(chain, key)
	if !errors.Is(err, platform.ErrInvalid) {
		t.Fatalf("got %v, want a refusal", err)
	}
	fields := make(map[string]string)
	var walk func(error)
	walk = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range joined.Unwrap() {
				walk(one)
			}
			return
		}
		if field, ok := errors.AsType[*platform.FieldError](err); ok {
			fields[field.Field] = field.Message
		}
	}
	walk(err)
	return fields
}

func TestWhatCannotBeServedIsRefusedWithItsReason(t *testing.T) {
	dir := made(t, ec)
	chain, key := file(t, dir, "cert.pem"), file(t, dir, "key.pem")
	run := func(name string, args ...string) []byte {
		openssl(t, dir, append(args, "-out", name)...)
		return file(t, dir, name)
	}
	encrypted := run("encrypted.pem", "pkcs8", "-topk8", "-passout", "pass:secret", "-in", "key.pem")
	legacy := run("legacy.pem", "ec", "-aes128", "-passout", "pass:secret", "-in", "key.pem")
	x25519 := run("x25519.pem", "genpkey", "-algorithm", "x25519")
	small := made(t, []string{"-newkey", "rsa:512"})
	huge := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 24<<10)})
	large := file(t, "testdata", "rsa16384.pem") // both; it takes a minute to make one
	damaged := bytes.Replace(key, []byte("\n"), []byte("\nAAAA"), 1)
	for name, test := range map[string]struct {
		chain, key     []byte
		onChain, onKey string
	}{
		"nothing at all":            {nil, nil, "Could not load certificate: no PEM", "Could not load private key: no PEM"},
		"no PEM":                    {[]byte("foo"), []byte("bar"), "Could not load certificate: no PEM", "Could not load private key: no PEM"},
		"the two the wrong way":     {key, chain, "Could not load certificate: no PEM", "Could not load private key: no PEM"},
		"PEM of something else":     {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key, "Could not load certificate: certificate 1 of the chain:", ""},
		"eleven of them":            {bytes.Repeat(chain, 11), key, "Could not load certificate: a chain has at most 10", ""},
		"a hundred of them":         {bytes.Repeat(chain, 100), key, "Could not load certificate: a chain has at most 10", ""},
		"ten thousand names":        {file(t, named(t, 10_000), "cert.pem"), key, "Could not load certificate: it is larger than 65536 bytes", ""},
		"a key no program makes":    {chain, huge, "", "Could not load private key: it has 24576 bytes"},
		"far too many bits":         {large, large, "Could not load certificate: an RSA key has 1024 to 8192 bits, not 16384", "Could not load private key: an RSA key has 1024 to 8192 bits, not 16384"},
		"a chain too large":         {append(bytes.Repeat([]byte{'\n'}, 64<<10), chain...), key, "Could not load certificate: it is larger", ""},
		"a key too large":           {chain, append(bytes.Repeat([]byte{'\n'}, 64<<10), key...), "", "Could not load private key: it is larger"},
		"an encrypted key":          {chain, encrypted, "", "Could not load private key: it is encrypted"},
		"encrypted in the old form": {chain, legacy, "", "Could not load private key: it is encrypted"},
		"a key that cannot sign":    {chain, x25519, "", "Could not load private key: only RSA, ECDSA and Ed25519"},
		"a key of SSH":              {chain, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"), "", "Could not load private key: it is a key of SSH"},
		"a damaged key":             {chain, damaged, "", "Could not load private key: it is damaged"},
		"another's key":             {chain, file(t, made(t, ec), "key.pem"), "", "Certificate and private key do not match!"},
		"a key of another kind":     {chain, file(t, made(t, ed), "key.pem"), "", "Certificate and private key do not match!"},
		"too few bits":              {file(t, small, "cert.pem"), file(t, small, "key.pem"), "Could not load certificate: an RSA key has 1024 to 8192 bits, not 512", "Could not load private key: an RSA key has"},
	} {
		t.Run(name, func(t *testing.T) {
			got := refused(t, test.chain, test.key)
			for field, want := range map[string]string{"certificate": test.onChain, "key": test.onKey} {
				if message, told := got[field]; told != (want != "") || !strings.HasPrefix(message, want) {
					t.Errorf("%s: got %q, want %q", field, message, want)
				}
			}
		})
	}
}

// named has openssl make a certificate for so many names.
func named(t *testing.T, names int) (dir string) {
	t.Helper()
	conf := []byte("[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=shop.example.com\n[ext]\nsubjectAltName=@names\n[names]\n")
	for n := range names {
		conf = fmt.Appendf(conf, "DNS.%d=n%d.example.com\n", n, n)
	}
	path := filepath.Join(t.TempDir(), "openssl.cnf")
	if err := os.WriteFile(path, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	return made(t, ec, "-config", path)
}

func TestAChainInAnyOrderIsPutIntoTheOneOfHandshakes(t *testing.T) {
	dir := made(t, ec, "-subj", "/CN=root")
	run := func(args ...string) { openssl(t, dir, args...) }
	sign := func(name, subject, by string) {
		run("req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", name+".key", "-subj", subject, "-out", name+".csr")
		run("x509", "-req", "-in", name+".csr", "-CA", by+".pem", "-CAkey", by+".key", "-CAcreateserial", "-days", "30", "-out", name+".pem")
	}
	for from, to := range map[string]string{"cert.pem": "root.pem", "key.pem": "root.key"} {
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	sign("middle", "/CN=middle", "root")
	sign("leaf", "/CN=shop.example.com", "middle")
	want := slices.Concat(file(t, dir, "leaf.pem"), file(t, dir, "middle.pem"), file(t, dir, "root.pem"))
	for _, order := range [][]string{{"leaf", "middle", "root"}, {"root", "middle", "leaf"}, {"leaf", "root", "middle"}, {"middle", "leaf", "root"}} {
		var chain []byte
		for _, name := range order {
			chain = append(chain, file(t, dir, name+".pem")...)
		}
		c, err := cert.Parse(chain, file(t, dir, "leaf.key"))
		if err != nil || c.CommonName != "shop.example.com" || c.Chain != string(want) {
			t.Errorf("%v: %v, for %q", order, err, c.CommonName)
		}
	}
}

func TestANameThatNoClientAsksForIsTakenAndCoversNothing(t *testing.T) {
	long := strings.Repeat("a.", 140) + "example.com" // 291 bytes; DNS has 253
	c := parsed(t, made(t, ec, "-addext", "subjectAltName=DNS:"+long+",DNS:shop.example.com"))
	if !slices.Equal(c.SAN, []string{long, "shop.example.com"}) || !cert.Covers(c.SAN, "shop.example.com") || cert.Covers(c.SAN, "a.example.com") {
		t.Errorf("it is for %q", c.SAN)
	}
}

func TestCertificatesThatLeadNowhereKeepTheirOrderBehindTheKeysOwn(t *testing.T) {
	leaf, root := made(t, ec), made(t, ec, "-subj", "/CN=root")
	chain := slices.Concat(file(t, leaf, "cert.pem"), bytes.Repeat(file(t, root, "cert.pem"), 9))
	c, err := cert.Parse(chain, file(t, leaf, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if c.CommonName != "shop.example.com" || c.Chain != string(chain) {
		t.Errorf("got %q and a chain of %d bytes, want %d", c.CommonName, len(c.Chain), len(chain))
	}
}

func TestACertificateCoversTheNamesThatClientsTakeItFor(t *testing.T) {
	c := parsed(t, made(t, ec, "-addext", "subjectAltName=DNS:shop.example.com,DNS:*.shop.example.com"))
	for host, want := range map[string]bool{
		"shop.example.com": true, "a.shop.example.com": true, "*.shop.example.com": true,
		"a.b.shop.example.com": false, "example.com": false, "*.example.com": false,
	} {
		if got := cert.Covers(c.SAN, host); got != want {
			t.Errorf("Covers(%s) is %t", host, got)
		}
	}
	if cert.Covers(parsed(t, made(t, ec)).SAN, "shop.example.com") {
		t.Error("a common name alone, which no client looks at, is said to cover its host")
	}
}

func FuzzWhatParsesCanBeServed(f *testing.F) {
	for _, kind := range [][]string{ec, ed} { // RSA is so slow here that nothing would be tried
		dir := made(f, kind, "-addext", "subjectAltName=DNS:shop.example.com")
		f.Add(file(f, dir, "cert.pem"), file(f, dir, "key.pem"))
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), []byte(""))
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		c, err := cert.Parse(chain, key)
		if err != nil {
			if !errors.Is(err, platform.ErrInvalid) {
				t.Errorf("the error %v is not told as the input's", err)
			}
			return
		}
		if _, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key)); err != nil {
			t.Errorf("taken, and cannot be served: %v", err)
		}
		if again, err := cert.Parse([]byte(c.Chain), []byte(c.Key)); err != nil || again.Fingerprint != c.Fingerprint {
			t.Errorf("what is kept reads as another: %v", err)
		}
	})
}
