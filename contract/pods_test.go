package contract_test

import (
	"slices"
	"strings"
	"testing"
)

var podChecks = []check{
	{"GET /v2/apps/<id>/pods/", "it lists what runs, in the contract's names", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		p.as(t, u).get("/v2/apps/" + id + "/pods/").status(200).json(`{"count":1,"results":[
			{"name":"~^` + id + `-web-[0-9]{10}-[a-z0-9]{5}$","state":"up","release":"v2","type":"web","started":"<time>"}]}`)
		p.as(t, p.user(t)).get("/v2/apps/" + id + "/pods/").status(403)
	}},
	{"GET /v2/apps/<id>/pods/", "an app without a build has none", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).get("/v2/apps/" + u.app(t) + "/pods/?limit=1").status(200).json(`{"count":0,"results":[]}`)
	}},
	{"GET /v2/apps/<id>/pods/<type>/", "only that type, and none of an unknown one", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		p.as(t, u).post("/v2/apps/"+id+"/scale/", object{"worker": 2}).status(204)
		p.as(t, u).get("/v2/apps/" + id + "/pods/worker/").status(200).json(`{"count":2,"results":[{"type":"worker"},{"type":"worker"}]}`)
		p.as(t, u).get("/v2/apps/" + id + "/pods/nope/").status(200).json(`{"count":0,"results":[]}`)
	}},
	{"GET /v2/apps/<id>/pods/<type>/<name>/", "only that one", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		name := u.pods(t, id)[0]
		p.as(t, u).get("/v2/apps/" + id + "/pods/web/" + name + "/").status(200).json(`{"count":1,"results":[{"name":"` + name + `"}]}`)
		p.as(t, u).get("/v2/apps/" + id + "/pods/web/nope/").status(200).json(`{"count":0,"results":[]}`)
	}},
	{"POST /v2/apps/<id>/pods/restart/", "all are others, up, when the answer comes, as a bare array", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		p.as(t, u).post("/v2/apps/"+id+"/scale/", object{"web": 2}).status(204)
		restarted(t, u, id, "/pods/restart/", 2)
	}},
	{"POST /v2/apps/<id>/pods/restart/", "nothing to restart is an empty array", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).post("/v2/apps/"+u.app(t)+"/pods/restart/", nil).status(200).json(`[]`)
	}},
	{"POST /v2/apps/<id>/pods/<type>/restart/", "only that type is replaced", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		p.as(t, u).post("/v2/apps/"+id+"/scale/", object{"worker": 1}).status(204)
		before := u.pods(t, id)
		p.as(t, u).post("/v2/apps/"+id+"/pods/worker/restart/", nil).status(200).json(`[{"type":"worker","state":"up"}]`)
		after := u.pods(t, id)
		kept := slices.DeleteFunc(slices.Clone(after), func(name string) bool { return !slices.Contains(before, name) })
		if len(after) != 2 || len(kept) != 1 || !strings.Contains(kept[0], "-web-") {
			t.Errorf("before %v, after %v", before, after)
		}
		p.as(t, u).post("/v2/apps/"+id+"/pods/nope/restart/", nil).status(200).json(`[]`)
	}},
	{"POST /v2/apps/<id>/pods/<type>/<name>/restart/", "it is found by its name, short or full, whatever the type says", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		restarted(t, u, id, "/pods/wrong/"+u.pods(t, id)[0]+"/restart/", 1)
		short := strings.TrimPrefix(u.pods(t, id)[0], id+"-")
		restarted(t, u, id, "/pods/web/"+short+"/restart/", 1)
		p.as(t, u).post("/v2/apps/"+id+"/pods/web/nope/restart/", nil).status(200).json(`[]`)
	}},
}

// pods are the names of what runs.
func (u *user) pods(t *testing.T, app string) (names []string) {
	t.Helper()
	var list struct{ Results []struct{ Name string } }
	u.p.as(t, u).get("/v2/apps/" + app + "/pods/").status(200).decode(&list)
	for _, pod := range list.Results {
		names = append(names, pod.Name)
	}
	return names
}

// restarted checks that a restart replaced n pods and left as many up.
func restarted(t *testing.T, u *user, app, path string, n int) {
	t.Helper()
	before := u.pods(t, app)
	var fresh []struct{ Name, State string }
	u.p.as(t, u).post("/v2/apps/"+app+path, nil).status(200).decode(&fresh)
	after := u.pods(t, app)
	if len(fresh) != n || len(after) != len(before) {
		t.Errorf("%d restarted, %d run; want %d and %d", len(fresh), len(after), n, len(before))
	}
	for _, pod := range fresh {
		if pod.State != "up" || slices.Contains(before, pod.Name) || !slices.Contains(after, pod.Name) {
			t.Errorf("%+v: before %v, after %v", pod, before, after)
		}
	}
}
