package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/porttest"
)

// directoryServer is an OpenLDAP server of the test binary's own, in a
// temporary directory. It starts with the first test that asks for it.
type directoryServer struct {
	start       sync.Once
	err         error
	dir         string
	plain, safe string // addresses
	process     *exec.Cmd
}

var slapd directoryServer

const (
	suffix       = "dc=example,dc=com"
	rootPassword = "root-hush"
	ownDN        = "cn=slipway," + suffix
	ownPassword  = "own-hush"
)

// slapdConf lets a bind without a password succeed, as many servers do, and
// shows entries to Slipway's own DN alone, but for those of ou=open.
const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb.la
allow bind_anon_cred
TLSCACertificateFile {dir}/ca.pem
TLSCertificateFile {dir}/cert.pem
TLSCertificateKeyFile {dir}/key.pem
database mdb
suffix dc=example,dc=com
directory {dir}/db
rootdn cn=root,dc=example,dc=com
rootpw root-hush
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=open,dc=example,dc=com" by * read
access to * by dn.exact="cn=slipway,dc=example,dc=com" read by * auth
`

// people are all of the directory; passwords are the uid twice, but for those
// who have another reason.
const people = `
dn: dc=example,dc=com
objectClass: domain

dn: cn=slipway,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: own-hush

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit

dn: ou=elsewhere,ou=people,dc=example,dc=com
objectClass: organizationalUnit

dn: ou=open,dc=example,dc=com
objectClass: organizationalUnit

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit

dn: uid=dora,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Dora
givenName: Dora
sn: Doe
mail: dora@example.com
userPassword: doradora

dn: cn=Fay (ops\2C *),ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: fay
sn: Fay
mail: not an address
userPassword: fayfay

dn: uid=ann,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Ann
sn: Other
userPassword: annann

dn: uid=twin,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Twin
sn: Twin
userPassword: twintwin

dn: uid=twin,ou=elsewhere,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Twin
sn: Twin
userPassword: twintwin

dn: uid=Slipway,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Slipway
sn: Slipway
userPassword: slipwayslipway

dn: uid=eve,ou=open,dc=example,dc=com
objectClass: inetOrgPerson
cn: Eve
sn: Eve
userPassword: eveeve

dn: cn=writers,ou=groups,dc=example,dc=com
objectClass: groupOfNames
member: uid=dora,ou=people,dc=example,dc=com
member: cn=Fay (ops\2C *),ou=people,dc=example,dc=com

dn: cn=readers,ou=groups,dc=example,dc=com
objectClass: groupOfUniqueNames
uniqueMember: uid=dora,ou=people,dc=example,dc=com

dn: cn=posix,ou=groups,dc=example,dc=com
objectClass: posixGroup
gidNumber: 100
memberUid: dora

dn: cn=others,ou=groups,dc=example,dc=com
objectClass: groupOfNames
member: uid=ann,ou=people,dc=example,dc=com
`

// directory is the running server; without slapd on this machine the test is
// skipped.
func directory(t *testing.T) *directoryServer {
	t.Helper()
	slapd.start.Do(func() { slapd.err = slapd.run() })
	if errors.Is(slapd.err, errNotInstalled) {
		t.Skip(slapd.err)
	} else if slapd.err != nil {
		t.Fatal(slapd.err)
	}
	return &slapd
}

func (s *directoryServer) run() (err error) {
	if s.dir, err = os.MkdirTemp("", "slipway-slapd"); err != nil {
		return err
	}
	// A copy: where AppArmor confines slapd, it knows it by its path.
	binary, err := os.ReadFile("/usr/sbin/slapd")
	if err != nil {
		return fmt.Errorf("slapd: %w", errNotInstalled)
	}
	program := filepath.Join(s.dir, "slapd")
	if err := os.WriteFile(program, binary, 0o700); err != nil {
		return err
	}
	conf := filepath.Join(s.dir, "slapd.conf")
	files := map[string]string{conf: strings.ReplaceAll(slapdConf, "{dir}", s.dir), filepath.Join(s.dir, "people.ldif"): people}
	err = errors.Join(os.Mkdir(filepath.Join(s.dir, "db"), 0o700), s.certify())
	for path, text := range files {
		err = errors.Join(err, os.WriteFile(path, []byte(text), 0o600))
	}
	if err != nil {
		return err
	}
	load := exec.Command(program, "-Tadd", "-f", conf, "-l", filepath.Join(s.dir, "people.ldif"))
	if output, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("slapadd: %w\n%s", err, output)
	}
	port, err := porttest.Free(2) // it binds none that it is not told
	if err != nil {
		return err
	}
	s.plain, s.safe = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)
	return s.listen(program, conf)
}

// listen starts the server and blocks until it answers.
func (s *directoryServer) listen(program, conf string) error {
	var output strings.Builder
	s.process = exec.Command(program, "-h", "ldap://"+s.plain+"/ ldaps://"+s.safe+"/", "-f", conf, "-d", "0")
	s.process.Stderr = &output
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.safe)
		if err == nil {
			return conn.Close()
		}
		if s.process.Process.Signal(syscall.Signal(0)) != nil || time.Now().After(deadline) {
			s.end()
			return fmt.Errorf("slapd does not answer: %w\n%s", err, output.String())
		}
	}
}

func (s *directoryServer) end() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

func (s *directoryServer) stop() {
	s.end()
	_ = os.RemoveAll(s.dir)
}

// certify writes a CA, a certificate of 127.0.0.1 by it, and another CA.
func (s *directoryServer) certify() error {
	sign := func(name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		certificate := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			BasicConstraintsValid: true, IsCA: parent == nil, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		if parent == nil {
			parent, by = certificate, key
		}
		der, err := x509.CreateCertificate(rand.Reader, certificate, parent, &key.PublicKey, by)
		if err != nil {
			return nil, nil, err
		}
		private, err := x509.MarshalECPrivateKey(key)
		return certificate, key, errors.Join(err,
			os.WriteFile(filepath.Join(s.dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
			os.WriteFile(filepath.Join(s.dir, strings.Replace(name, "cert", "", 1)+"key.pem"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600))
	}
	ca, caKey, err := sign("ca", nil, nil)
	if err != nil {
		return err
	}
	_, _, other := sign("other", nil, nil)
	_, _, own := sign("cert", ca, caKey)
	return errors.Join(other, own)
}

func (s *directoryServer) options() auth.DirectoryOptions {
	return auth.DirectoryOptions{
		Endpoint: "ldap://" + s.plain, BindDN: ownDN, BindPassword: ownPassword,
		UserBase: "ou=people," + suffix, UserAttribute: "uid",
		GroupBase: "ou=groups," + suffix, Timeout: time.Minute,
	}
}

// modify changes an entry, as the directory's administrator would.
func (s *directoryServer) modify(t *testing.T, change func(*ldap.Conn) error) {
	t.Helper()
	conn, err := ldap.DialURL("ldap://" + s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := errors.Join(conn.Bind("cn=root,"+suffix, rootPassword), change(conn)); err != nil {
		t.Fatal(err)
	}
}
