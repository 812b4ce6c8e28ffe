package contract_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// pair is a certificate and its key, both PEM, and what the API says of it.
type pair struct {
	certificate, key, fingerprint string
	der                           []byte
}

func newPair(t *testing.T, names ...string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{Country: []string{"US"}, Organization: []string{"Example"}, CommonName: names[0]},
		DNSNames:     names,
		NotBefore:    time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	sum := sha256.Sum256(der)
	return pair{
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
		fingerprint: strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"),
		der:         der,
	}
}

// cert uploads a certificate for the names.
func (u *user) cert(t *testing.T, names ...string) (name string, made pair) {
	t.Helper()
	made, name = newPair(t, names...), unique("cert-")
	u.p.as(t, u).post("/v2/certs/", object{"name": name, "certificate": made.certificate, "key": made.key}).status(201)
	return name, made
}

var certChecks = []check{
	{"GET /v2/certs/", "one sees one's own by name, without their PEM", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).get("/v2/certs/").status(200).json(`{"count":0,"next":null,"previous":null,"results":[]}`)
		name, _ := u.cert(t, "a.example.com")
		a := p.as(t, u).get("/v2/certs/").status(200).json(`{"count":1,"results":[{"name":"` + name + `","owner":"` + u.name + `"}]}`)
		if strings.Contains(string(a.body), "BEGIN") {
			a.fail("PEM comes back")
		}
		var admins struct{ Results []struct{ Name string } }
		p.as(t, p.admin).get("/v2/certs/?limit=1000").status(200).decode(&admins)
		for _, cert := range admins.Results {
			if cert.Name == name {
				t.Error("the admin sees it")
			}
		}
	}},
	{"POST /v2/certs/", "it is parsed to the letter", func(t *testing.T, p *platform) {
		u := p.user(t)
		made, name := newPair(t, "www.example.com", "example.com"), unique("cert-")
		p.as(t, u).post("/v2/certs/", object{"name": name, "certificate": made.certificate, "key": made.key}).status(201).json(`{
			"id":"<int>","owner":"` + u.name + `","domains":[],"san":["www.example.com","example.com"],"created":"<time>","updated":"<time>","name":"` + name + `",
			"common_name":"www.example.com","fingerprint":"` + made.fingerprint + `","expires":"2040-01-02T03:04:05Z","starts":"2020-01-02T03:04:05Z",
			"issuer":"/C=US/O=Example/CN=www.example.com","subject":"/C=US/O=Example/CN=www.example.com"}`)
	}},
	{"POST /v2/certs/", "each bad field has its message, both PEMs at once", func(t *testing.T, p *platform) {
		u := p.user(t)
		c := p.as(t, u)
		made, other := newPair(t, "a.example.com"), newPair(t, "a.example.com")
		c.post("/v2/certs/", object{}).refuses("name", required).refuses("certificate", required).refuses("key", required)
		c.post("/v2/certs/", object{"name": "Not Good", "certificate": made.certificate, "key": made.key}).
			refuses("name", "Can only contain a-z (lowercase), 0-9 and hyphens")
		c.post("/v2/certs/", object{"name": unique("c"), "certificate": "nonsense", "key": "nonsense"}).
			refusesLike("certificate", `^Could not load certificate: `).refusesLike("key", `^Could not load private key: `)
		c.post("/v2/certs/", object{"name": unique("c"), "certificate": made.certificate, "key": other.key}).status(400).
			containing("Certificate and private key do not match!")
		name, _ := u.cert(t, "b.example.com")
		p.as(t, p.user(t)).post("/v2/certs/", object{"name": name, "certificate": made.certificate, "key": made.key}).
			refuses("name", "certificate with this name already exists.")
	}},
	{"GET /v2/certs/<name>", "others, admins too, see none", func(t *testing.T, p *platform) {
		u := p.user(t)
		name, made := u.cert(t, "c.example.com")
		p.as(t, u).get("/v2/certs/" + name).status(200).json(`{"name":"` + name + `","fingerprint":"` + made.fingerprint + `"}`)
		p.as(t, p.user(t)).get("/v2/certs/" + name).missing("Certificate")
		p.as(t, p.admin).get("/v2/certs/" + name).missing("Certificate")
	}},
	{"DELETE /v2/certs/<name>", "it goes, from its domains too", func(t *testing.T, p *platform) {
		u := p.user(t)
		domain, app := unique("d")+".example.com", u.app(t)
		name, _ := u.cert(t, domain)
		c := p.as(t, u)
		c.post("/v2/apps/"+app+"/domains/", object{"domain": domain}).status(201)
		c.post("/v2/certs/"+name+"/domain/", object{"domain": domain}).status(201)
		p.as(t, p.user(t)).remove("/v2/certs/"+name, nil).missing("Certificate")
		c.remove("/v2/certs/"+name, nil).status(204)
		c.remove("/v2/certs/"+name, nil).missing("Certificate")
		again, _ := u.cert(t, domain)
		c.post("/v2/certs/"+again+"/domain/", object{"domain": domain}).status(201)
	}},
	{"POST /v2/certs/<name>/domain/", "the edge shows it for that name when the answer comes", func(t *testing.T, p *platform) {
		u := p.user(t)
		domain, app := unique("d")+".example.com", u.app(t)
		name, made := u.cert(t, domain)
		c := p.as(t, u)
		c.post("/v2/apps/"+app+"/domains/", object{"domain": domain}).status(201)
		c.post("/v2/certs/"+name+"/domain/", object{"domain": domain}).status(201).empty()
		c.get("/v2/certs/" + name).json(`{"domains":["` + domain + `"]}`)
		if got := p.shown(t, domain); string(got) != string(made.der) {
			t.Error("the edge shows another certificate")
		}
		c.remove("/v2/certs/"+name+"/domain/"+domain, nil).status(204)
		if got := p.shown(t, domain); string(got) == string(made.der) {
			t.Error("the edge still shows it")
		}
	}},
	{"POST /v2/certs/<name>/domain/", "the certificate is looked up first, then the domain, which may have one only", func(t *testing.T, p *platform) {
		u := p.user(t)
		domain, app := unique("d")+".example.com", u.app(t)
		name, _ := u.cert(t, domain)
		c := p.as(t, u)
		c.post("/v2/certs/"+unique("no")+"/domain/", object{"domain": "no.example.com"}).missing("Certificate")
		c.post("/v2/certs/"+name+"/domain/", object{"domain": "no.example.com"}).missing("Domain")
		c.post("/v2/certs/"+name+"/domain/", object{}).status(400).detail("domain is a required field")
		c.post("/v2/apps/"+app+"/domains/", object{"domain": domain}).status(201)
		c.post("/v2/certs/"+name+"/domain/", object{"domain": domain}).status(201)
		c.post("/v2/certs/"+name+"/domain/", object{"domain": domain}).status(409).detail("Domain already has a certificate attached to it")
	}},
	{"POST /v2/certs/<name>/domain/", "a stranger's domain is not served with one's own certificate", func(t *testing.T, p *platform) {
		u, eve := p.user(t), p.user(t)
		domain := unique("d") + ".example.com"
		p.as(t, u).post("/v2/apps/"+u.app(t)+"/domains/", object{"domain": domain}).status(201)
		name, _ := eve.cert(t, domain)
		p.as(t, eve).post("/v2/certs/"+name+"/domain/", object{"domain": domain}).status(403)
	}},
	{"DELETE /v2/certs/<name>/domain/<domain>", "it detaches; what is unknown is a 404", func(t *testing.T, p *platform) {
		u := p.user(t)
		domain := unique("d") + ".example.com"
		name, _ := u.cert(t, domain)
		c := p.as(t, u)
		c.post("/v2/apps/"+u.app(t)+"/domains/", object{"domain": domain}).status(201)
		c.post("/v2/certs/"+name+"/domain/", object{"domain": domain}).status(201)
		c.remove("/v2/certs/"+name+"/domain/"+domain, nil).status(204)
		c.get("/v2/certs/" + name).json(`{"domains":[]}`)
		c.remove("/v2/certs/"+name+"/domain/no.example.com", nil).missing("Domain")
		c.remove("/v2/certs/"+unique("no")+"/domain/"+domain, nil).missing("Certificate")
	}},
}

// shown is the certificate the edge shows for a name.
func (p *platform) shown(t *testing.T, host string) []byte {
	t.Helper()
	var dialer tls.Dialer
	dialer.Config = &tls.Config{ServerName: host, InsecureSkipVerify: true} // whatever it shows
	conn, err := dialer.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", p.https))
	must(t, err)
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw
}

// over asks the edge over HTTPS.
func (p *platform) over(t *testing.T, host string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/", p.https), nil)
	must(t, err)
	r.Host = host
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ServerName: host, InsecureSkipVerify: true}}} // a private name
	resp, err := client.Do(r)
	must(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}
