package contract_test

import (
	"regexp"
	"strings"
	"testing"
)

const appForm = "App name must start with an alphabetic character, cannot end with a hyphen and can only contain a-z (lowercase), 0-9 and hyphens."

var appChecks = []check{
	{"GET /v2/apps/", "one sees one's own and shared apps by id, admins all", func(t *testing.T, p *platform) {
		u, other := p.user(t), p.user(t)
		shared := other.app(t)
		mine := u.app(t)
		p.as(t, u).get("/v2/apps/").status(200).json(`{"count":1,"next":null,"previous":null,"results":[{"id":"` + mine + `"}]}`)
		p.as(t, other).post("/v2/apps/"+shared+"/perms/", object{"username": u.name}).status(201)
		var list struct {
			Count   int
			Results []struct{ ID string }
		}
		p.as(t, u).get("/v2/apps/?limit=0").status(200).decode(&list)
		if list.Count != 2 || list.Results[0].ID > list.Results[1].ID {
			t.Errorf("got %+v", list)
		}
		p.as(t, p.admin).get("/v2/apps/?limit=100000").status(200).decode(&list)
		if len(list.Results) != list.Count || list.Count < 2 {
			t.Errorf("the admin sees %d of %d", len(list.Results), list.Count)
		}
	}},
	{"GET /v2/apps/", "nothing is an empty array, and pages link to each other", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).get("/v2/apps/").status(200).json(`{"count":0,"next":null,"previous":null,"results":[]}`)
		for range 5 {
			u.app(t)
		}
		p.as(t, u).get("/v2/apps/?limit=2&offset=2").status(200).json(`{"count":5,"next":"~/v2/apps/\\?limit=2&offset=4$","previous":"~/v2/apps/\\?limit=2$",
			"results":[{"owner":"` + u.name + `"},{"owner":"` + u.name + `"}]}`)
		for _, query := range []string{"?limit=0", "?limit=-3", "?limit=x", "?limit=99999999999999999999"} {
			p.as(t, u).get("/v2/apps/" + query).status(200).json(`{"count":5,"next":null,"previous":null}`)
		}
	}},
	{"POST /v2/apps/", "it makes an app with release, settings, tls and a domain", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := unique("app-")
		c := p.as(t, u)
		c.post("/v2/apps/", object{"id": id, "structure": object{"web": 9}}).status(201).json(`{"uuid":"<uuid>","id":"` + id + `","owner":"` + u.name + `",
			"structure":{},"created":"<time>","updated":"<time>"}`)
		of := "/v2/apps/" + id
		c.get(of + "/releases/").json(`{"count":1,"results":[{"version":1,"build":null,"failed":false,"summary":"` + u.name + ` created initial release"}]}`)
		c.get(of + "/settings/").json(`{"maintenance":false,"routable":true,"whitelist":[],"autoscale":{},"label":{}}`)
		c.get(of + "/tls/").json(`{"https_enforced":null}`)
		c.get(of + "/domains/").json(`{"count":1,"results":[{"domain":"` + id + `","app":"` + id + `"}]}`)
		c.get(of + "/config/").json(`{"values":{},"memory":{},"cpu":{},"tags":{},"registry":{},"healthcheck":{}}`)
		lines := string(c.get(of + "/logs").status(200).body)
		order := regexp.MustCompile(`(?s)deis\[controller\]: INFO config ` + id + `-[0-9a-f]{7} updated\n.*INFO ` + u.name +
			` created initial release\n.*INFO appsettings ` + id + `-[0-9a-f]{7} updated\n.*INFO domain ` + id + ` added\n`)
		if !order.MatchString(lines) {
			t.Errorf("the log has not the contract's order:\n%s", lines)
		}
	}},
	{"POST /v2/apps/", "without an id one is made up", func(t *testing.T, p *platform) {
		for _, body := range []any{nil, object{}, object{"id": nil}} {
			p.as(t, p.user(t)).post("/v2/apps/", body).status(201).json(`{"id":"~^[a-z]{6}-[a-z]{8}$"}`)
		}
	}},
	{"POST /v2/apps/", "each bad name has its message", func(t *testing.T, p *platform) {
		u := p.user(t)
		c := p.as(t, u)
		for _, id := range []string{"UPPER", "1app", "-app", "app-", "a_b"} {
			c.post("/v2/apps/", object{"id": id}).refuses("id", appForm)
		}
		c.post("/v2/apps/", object{"id": "a.b"}).refuses("id", appForm).
			refuses("id", `Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.`)
		c.post("/v2/apps/", object{"id": ""}).refuses("id", blank)
		c.post("/v2/apps/", object{"id": strings.Repeat("a", 64)}).refuses("id", "Ensure this field has no more than 63 characters.")
		c.post("/v2/apps/", object{"id": u.app(t)}).refuses("id", "Application with this id already exists.")
		c.post("/v2/apps/", object{"id": "deis"}).refuses("id", "deis is a reserved name.")
		c.get("/v2/apps/").json(`{"count":1}`)
	}},
	{"GET /v2/apps/<id>/", "the owner sees it, a stranger may not, an unknown one is a 404", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		for _, path := range []string{"/v2/apps/" + id + "/", "/v2/apps/" + id} {
			p.as(t, u).get(path).status(200).json(`{"id":"` + id + `","structure":{}}`)
		}
		p.as(t, p.admin).get("/v2/apps/" + id + "/").status(200)
		p.as(t, p.user(t)).get("/v2/apps/" + id + "/").status(403).detail(noPermission)
		p.as(t, p.user(t)).get("/v2/apps/" + unique("no") + "/").missing("App")
		p.as(t, nil).get("/v2/apps/" + id + "/").status(401)
	}},
	{"POST /v2/apps/<id>/", "the app changes hands, and the old owner is out at once", func(t *testing.T, p *platform) {
		u, heir := p.user(t), p.user(t)
		id := u.app(t)
		p.as(t, u).post("/v2/apps/"+id+"/", object{"owner": heir.name}).status(200).empty()
		p.as(t, u).get("/v2/apps/" + id + "/").status(403)
		c := p.as(t, heir)
		for _, room := range []string{"", "config/", "settings/", "tls/"} {
			c.get("/v2/apps/" + id + "/" + room).status(200).json(`{"owner":"` + heir.name + `"}`)
		}
		for _, room := range []string{"releases/", "domains/"} {
			c.get("/v2/apps/" + id + "/" + room).status(200).json(`{"results":[{"owner":"` + heir.name + `"}]}`)
		}
	}},
	{"POST /v2/apps/<id>/", "only the owner and admins may, and nothing is no change", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		id := u.app(t)
		p.as(t, u).post("/v2/apps/"+id+"/perms/", object{"username": carol.name}).status(201)
		p.as(t, carol).post("/v2/apps/"+id+"/", object{"owner": carol.name}).status(403)
		p.as(t, u).post("/v2/apps/"+id+"/", object{"owner": unique("no")}).missing("User")
		p.as(t, u).post("/v2/apps/"+id+"/", object{}).status(200).empty()
		p.as(t, p.admin).post("/v2/apps/"+id+"/", object{"owner": carol.name}).status(200).empty()
		p.as(t, carol).get("/v2/apps/" + id + "/").status(200)
	}},
	{"DELETE /v2/apps/<id>/", "it is gone with all of it when the answer comes", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		p.as(t, u).remove("/v2/apps/"+id+"/", nil).status(204)
		p.as(t, u).get("/v2/apps/" + id + "/").missing("App")
		p.as(t, u).get("/v2/apps/" + id + "/logs").missing("App")
		p.reaches(t, id, 404)
	}},
	{"DELETE /v2/apps/<id>/", "a collaborator may not", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		id := u.app(t)
		p.as(t, u).post("/v2/apps/"+id+"/perms/", object{"username": carol.name}).status(201)
		p.as(t, carol).remove("/v2/apps/"+id+"/", nil).status(403)
		p.as(t, p.user(t)).remove("/v2/apps/"+id+"/", nil).status(403)
		p.as(t, u).remove("/v2/apps/"+unique("no")+"/", nil).missing("App")
	}},
	{"PUT /v2/apps/<id>/", "it is not allowed, as PATCH is not", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).ask("PUT", "/v2/apps/"+id+"/", object{"id": "x"}).status(405).detail(`Method "PUT" not allowed.`)
		p.as(t, u).ask("PATCH", "/v2/apps/"+id+"/", object{"id": "x"}).status(405).detail(`Method "PATCH" not allowed.`)
	}},
	{"GET /v2/apps/<id>/logs", "the last lines come, the oldest first, in the contract's form", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		a := p.as(t, u).get("/v2/apps/" + id + "/logs?log_lines=2").status(200)
		if !regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d deis\[controller\]: INFO .*\n){2}$`).Match(a.body) {
			a.fail("not two lines in the contract's form")
		}
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			a.fail("content type %q", a.header.Get("Content-Type"))
		}
		p.as(t, u).get("/v2/apps/" + id + "/logs?log_lines=many").status(200)
		p.as(t, p.user(t)).get("/v2/apps/" + id + "/logs").status(403)
		p.as(t, u).get("/v2/apps/" + unique("no") + "/logs").missing("App")
	}},
	{"POST /v2/apps/<id>/run", "the command's output and exit code come back", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c := p.as(t, u)
		c.post("/v2/apps/"+id+"/run", object{"command": `echo "hi  ü" $DEIS_APP; echo err >&2`}).status(200).
			json(`{"exit_code":0,"output":"~^hi  ü ` + id + `\nerr\n$"}`)
		c.post("/v2/apps/"+id+"/run", object{"command": "exit 3"}).status(200).json(`{"exit_code":3,"output":""}`)
		c.post("/v2/apps/"+id+"/run", object{"command": "/no/such/program"}).status(200).
			json(`{"exit_code":127,"output":"~No such file or directory"}`)
		if lines := string(c.get("/v2/apps/" + id + "/logs").body); !regexp.MustCompile(`INFO ` + u.name + ` on ` + id + `-run-[a-z0-9]{5} runs 'exit 3'\n`).MatchString(lines) {
			t.Errorf("the log has no line of the run:\n%s", lines)
		}
		c.get("/v2/apps/" + id + "/pods/").json(`{"count":1}`)
	}},
	{"POST /v2/apps/<id>/run", "it needs a command and a build", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).post("/v2/apps/"+id+"/run", object{}).status(400).detail("command is a required field")
		p.as(t, u).post("/v2/apps/"+id+"/run", object{"command": "ls"}).status(400).
			detail("No build associated with this release to run this command")
		p.as(t, p.user(t)).post("/v2/apps/"+id+"/run", object{"command": "ls"}).status(403)
	}},
	{"POST /v2/apps/<id>/scale/", "the pods are up when the answer comes, and no release is made", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c := p.as(t, u)
		c.post("/v2/apps/"+id+"/scale/", object{"web": "2"}).status(204)
		c.get("/v2/apps/" + id + "/pods/").json(`{"count":2,"results":[{"state":"up"},{"state":"up"}]}`)
		c.get("/v2/apps/" + id + "/").json(`{"structure":{"web":2}}`)
		c.post("/v2/apps/"+id+"/scale/", object{"web": 2}).status(204)
		c.post("/v2/apps/"+id+"/scale/", object{}).status(204)
		c.get("/v2/apps/" + id + "/releases/").json(`{"count":2}`)
		c.post("/v2/apps/"+id+"/scale/", object{"web": 0}).status(204)
		c.get("/v2/apps/" + id + "/pods/").json(`{"count":0,"results":[]}`)
		p.reaches(t, id, 503)
	}},
	{"POST /v2/apps/<id>/scale/", "each bad number has its message", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c := p.as(t, u)
		c.post("/v2/apps/"+id+"/scale/", object{"web": -1}).status(400).detail("Invalid scaling format: ['Must be greater than or equal to zero']")
		c.post("/v2/apps/"+id+"/scale/", object{"web": "x"}).status(400).detail("Invalid scaling format: invalid literal for int() with base 10: 'x'")
		c.post("/v2/apps/"+id+"/scale/", object{"nope": 1}).status(404).detail("Container type nope does not exist in application")
		empty := u.app(t)
		p.as(t, u).post("/v2/apps/"+empty+"/scale/", object{"web": 1}).status(400).detail("No build associated with this release")
	}},
}
