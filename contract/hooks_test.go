package contract_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// builder asks with the builder's key.
func (p *platform) builder(t *testing.T) *client {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(p.state, "builder.key"))
	must(t, err)
	return p.as(t, nil).with("X-Deis-Builder-Auth", strings.TrimSpace(string(key)))
}

// guarded checks that a hook is the builder's alone.
func guarded(t *testing.T, p *platform, method, path string) {
	t.Helper()
	p.as(t, nil).ask(method, path, nil).status(401)
	for _, key := range []string{"", "wrong"} {
		p.as(t, nil).with("X-Deis-Builder-Auth", key).ask(method, path, nil).status(401)
		p.as(t, p.admin).with("X-Deis-Builder-Auth", key).ask(method, path, nil).status(403)
	}
}

var hookChecks = []check{
	{"GET /v2/hooks/key/<fingerprint>", "it tells whose key it is and where its owner may push", func(t *testing.T, p *platform) {
		u, other := p.user(t), p.user(t)
		public, fingerprint := sshKey(t)
		mine, shared := u.app(t), other.app(t)
		other.app(t)
		p.as(t, other).post("/v2/apps/"+shared+"/perms/", object{"username": u.name}).status(201)
		p.as(t, u).post("/v2/keys/", object{"id": unique("k"), "public": public}).status(201)
		p.builder(t).get("/v2/hooks/key/" + fingerprint).status(200).
			json(`{"username":"` + u.name + `","apps":["` + min(mine, shared) + `","` + max(mine, shared) + `"]}`)
		p.builder(t).get("/v2/hooks/key/00:11").missing("Key")
		guarded(t, p, "GET", "/v2/hooks/key/"+fingerprint)
	}},
	{"GET /v2/hooks/keys/<app>", "it lists the keys of the collaborators", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		id := u.app(t)
		public, fingerprint := sshKey(t)
		p.as(t, u).post("/v2/apps/"+id+"/perms/", object{"username": carol.name}).status(201)
		p.as(t, carol).post("/v2/keys/", object{"id": unique("k"), "public": public}).status(201)
		p.builder(t).get("/v2/hooks/keys/" + id).status(200).
			json(`{"` + carol.name + `":[{"key":"` + public + `","fingerprint":"` + fingerprint + `"}]}`)
		p.builder(t).get("/v2/hooks/keys/" + unique("no")).missing("App")
		guarded(t, p, "GET", "/v2/hooks/keys/"+id)
	}},
	{"GET /v2/hooks/keys/<app>/<user>", "it lists one user's, who must have access", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		public, _ := sshKey(t)
		p.builder(t).get("/v2/hooks/keys/" + id + "/" + u.name).status(404).detail("No Keys match the given query.")
		p.as(t, u).post("/v2/keys/", object{"id": unique("k"), "public": public}).status(201)
		p.builder(t).get("/v2/hooks/keys/" + id + "/" + u.name).status(200).json(`{"` + u.name + `":[{"key":"` + public + `"}]}`)
		p.builder(t).get("/v2/hooks/keys/" + id + "/" + p.user(t).name).status(403)
		guarded(t, p, "GET", "/v2/hooks/keys/"+id+"/"+u.name)
	}},
	{"POST /v2/hooks/config/", "it answers the app's config to who may push", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).post("/v2/apps/"+id+"/config/", object{"values": object{"A": "1"}}).status(201)
		hook := "/v2/hooks/config/"
		p.builder(t).post(hook, object{"receive_user": u.name, "receive_repo": id}).status(200).json(`{"app":"` + id + `","values":{"A":"1"}}`)
		p.builder(t).post(hook, object{"receive_user": p.user(t).name, "receive_repo": id}).status(403)
		p.builder(t).post(hook, object{"receive_user": u.name, "receive_repo": unique("no")}).missing("App")
		p.builder(t).post(hook, object{"receive_user": unique("no"), "receive_repo": id}).missing("User")
		guarded(t, p, "POST", hook)
	}},
	{"POST /v2/hooks/build/", "it makes a release, owned by who pushed", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		var list struct{ Results []struct{ Image string } }
		p.as(t, u).get("/v2/apps/" + id + "/builds/").decode(&list)
		hook := "/v2/hooks/build/"
		p.builder(t).post(hook, object{
			"receive_user": u.name, "receive_repo": id, "sha": "0123abcd", "image": list.Results[0].Image,
			"procfile": object{"web": "python3 -u server.py"}, "dockerfile": "",
		}).status(200).json(`{"release":{"version":3}}`)
		p.as(t, u).get("/v2/apps/" + id + "/releases/v3/").json(`{"owner":"` + u.name + `","summary":"` + u.name + ` deployed 0123abc"}`)
		p.builder(t).post(hook, object{"receive_user": p.user(t).name, "receive_repo": id, "image": "x"}).status(403)
		guarded(t, p, "POST", hook)
	}},
}
