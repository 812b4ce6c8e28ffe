package contract_test

import (
	"crypto/ed25519"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sshKey is a fresh public key and its contract fingerprint.
func sshKey(t *testing.T) (public, fingerprint string) {
	t.Helper()
	raw, _, err := ed25519.GenerateKey(nil)
	must(t, err)
	key, err := ssh.NewPublicKey(raw)
	must(t, err)
	sum := md5.Sum(key.Marshal())
	var pairs []string
	for _, b := range sum {
		pairs = append(pairs, hex.EncodeToString([]byte{b}))
	}
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(key.Marshal()), strings.Join(pairs, ":")
}

var keyChecks = []check{
	{"GET /v2/keys/", "one sees one's own, admins no others'", func(t *testing.T, p *platform) {
		u := p.user(t)
		public, fingerprint := sshKey(t)
		id := unique("key")
		p.as(t, u).get("/v2/keys/").status(200).json(`{"count":0,"next":null,"previous":null,"results":[]}`)
		p.as(t, u).post("/v2/keys/", object{"id": id, "public": public + " me\n"}).status(201)
		p.as(t, u).get("/v2/keys/").status(200).json(`{"count":1,"results":[{"uuid":"<uuid>","owner":"` + u.name + `","created":"<time>","updated":"<time>",
			"id":"` + id + `","public":"` + public + ` me","fingerprint":"` + fingerprint + `"}]}`)
		p.as(t, p.admin).get("/v2/keys/" + id).missing("Key")
	}},
	{"POST /v2/keys/", "the id and the key are unique among all users", func(t *testing.T, p *platform) {
		u, other := p.user(t), p.user(t)
		public, _ := sshKey(t)
		another, _ := sshKey(t)
		id := unique("key")
		p.as(t, u).post("/v2/keys/", object{"id": id, "public": public}).status(201)
		p.as(t, other).post("/v2/keys/", object{"id": id, "public": another}).refuses("id", "SSH Key with this id already exists.")
		p.as(t, other).post("/v2/keys/", object{"id": unique("key"), "public": public}).refuses("public", "Public Key is already in use")
	}},
	{"POST /v2/keys/", "each bad field has its message", func(t *testing.T, p *platform) {
		c := p.as(t, p.user(t))
		c.post("/v2/keys/", object{}).refuses("id", required).refuses("public", required)
		c.post("/v2/keys/", object{"id": "", "public": ""}).refuses("id", blank).refuses("public", blank)
		c.post("/v2/keys/", object{"id": unique("k"), "public": "ssh-rsa !!!!"}).refuses("public", "Key contains invalid base64 chars")
		c.post("/v2/keys/", object{"id": unique("k"), "public": "ssh-rsa"}).refuses("public", "Key contains invalid base64 chars")
		public, _ := sshKey(t)
		c.post("/v2/keys/", object{"id": strings.Repeat("x", 129), "public": public}).refuses("id", "Ensure this field has no more than 128 characters.")
		p.as(t, nil).post("/v2/keys/", object{}).status(401)
	}},
	{"GET /v2/keys/<id>", "the id may hold an at sign, dots and a slash", func(t *testing.T, p *platform) {
		u := p.user(t)
		public, _ := sshKey(t)
		id := "me@" + unique("laptop") + ".local/2"
		p.as(t, u).post("/v2/keys/", object{"id": id, "public": public}).status(201)
		for _, path := range []string{"/v2/keys/" + id, "/v2/keys/" + url.PathEscape(id)} {
			p.as(t, u).get(path).status(200).json(`{"id":"` + id + `"}`)
		}
		p.as(t, u).get("/v2/keys/" + unique("no")).missing("Key")
	}},
	{"DELETE /v2/keys/<id>", "it goes, once; keys go with their user", func(t *testing.T, p *platform) {
		u, other := p.user(t), p.user(t)
		public, _ := sshKey(t)
		id := unique("key")
		p.as(t, u).post("/v2/keys/", object{"id": id, "public": public}).status(201)
		p.as(t, other).remove("/v2/keys/"+id, nil).missing("Key")
		p.as(t, u).remove("/v2/keys/"+id, nil).status(204)
		p.as(t, u).remove("/v2/keys/"+id, nil).missing("Key")
		p.as(t, u).post("/v2/keys/", object{"id": id, "public": public}).status(201)
		p.as(t, u).remove("/v2/auth/cancel/", nil).status(204)
		p.as(t, other).post("/v2/keys/", object{"id": id, "public": public}).status(201)
	}},
}

var permChecks = []check{
	{"GET /v2/apps/<id>/perms/", "the owner is not in it, and it is never null", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		perms := "/v2/apps/" + u.app(t) + "/perms/"
		p.as(t, u).get(perms).status(200).json(`{"users":[]}`)
		p.as(t, u).post(perms, object{"username": carol.name}).status(201)
		p.as(t, u).get(perms).status(200).json(`{"users":["` + carol.name + `"]}`)
		p.as(t, carol).get(perms).status(200)
		p.as(t, p.user(t)).get(perms).status(403)
	}},
	{"POST /v2/apps/<id>/perms/", "only the owner and admins share, again and again", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		id := u.app(t)
		perms := "/v2/apps/" + id + "/perms/"
		for range 2 {
			p.as(t, u).post(perms, object{"username": carol.name}).status(201).empty()
		}
		p.as(t, carol).post(perms, object{"username": p.user(t).name}).status(403)
		p.as(t, u).post(perms, object{"username": unique("no")}).missing("User")
		p.as(t, u).post(perms, object{}).refuses("username", required)
		p.as(t, p.admin).post(perms, object{"username": p.user(t).name}).status(201)
		if log := string(p.as(t, u).get("/v2/apps/" + id + "/logs").body); !strings.Contains(log, "User "+carol.name+" was granted access to "+id) {
			t.Errorf("the log does not tell:\n%s", log)
		}
	}},
	{"DELETE /v2/apps/<id>/perms/<username>", "the owner ends it, a collaborator for himself", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		dotted := &user{p: p, name: "d.o+t@" + unique("x"), password: "secret words"}
		dotted.registerBy(t, p.admin)
		id := u.app(t)
		perms := "/v2/apps/" + id + "/perms/"
		for _, who := range []*user{carol, dotted} {
			p.as(t, u).post(perms, object{"username": who.name}).status(201)
		}
		p.as(t, carol).remove(perms+dotted.name, nil).status(403)
		p.as(t, u).remove(perms+dotted.name, nil).status(204)
		p.as(t, carol).remove(perms+carol.name, nil).status(204)
		p.as(t, carol).get("/v2/apps/" + id + "/").status(403)
		p.as(t, u).remove(perms+carol.name, nil).status(403)
		p.as(t, u).remove(perms+unique("no"), nil).missing("User")
	}},
}
