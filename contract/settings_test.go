package contract_test

import (
	"strings"
	"testing"
)

var settingsChecks = []check{
	{"GET /v2/apps/<id>/settings/", "all of them are there", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).get("/v2/apps/" + id + "/settings/").status(200).json(`{"uuid":"<uuid>","app":"` + id + `","owner":"` + u.name + `","autoscale":{},"label":{},
			"created":"<time>","updated":"<time>","maintenance":false,"routable":true,"whitelist":[]}`)
		p.as(t, p.user(t)).get("/v2/apps/" + id + "/settings/").status(403)
	}},
	{"POST /v2/apps/<id>/settings/", "maintenance is a 503 and unroutable a 404 at the edge when the answer comes", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c, settings := p.as(t, u), "/v2/apps/"+id+"/settings/"
		before := c.get(settings).field("uuid")
		if after := c.post(settings, object{"maintenance": true}).status(201).json(`{"maintenance":true,"routable":true}`).field("uuid"); after == before {
			t.Error("a change keeps the uuid")
		}
		p.reaches(t, id, 503)
		c.post(settings, object{"maintenance": "False"}).status(201).json(`{"maintenance":false}`)
		p.reaches(t, id, 200)
		c.post(settings, object{"routable": false}).status(201)
		p.reaches(t, id, 404)
		c.post(settings, object{"routable": 1}).status(201)
		p.reaches(t, id, 200)
		c.get("/v2/apps/" + id + "/releases/").json(`{"count":2}`)
	}},
	{"POST /v2/apps/<id>/settings/", "what changes nothing is a 409", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, settings := p.as(t, u), "/v2/apps/"+u.app(t)+"/settings/"
		for _, body := range []any{nil, object{}, object{"maintenance": false}, object{"routable": true}} {
			c.post(settings, body).status(409).detail(u.name + " changed nothing")
		}
	}},
	{"POST /v2/apps/<id>/settings/", "labels keep any JSON, null removes", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, settings := p.as(t, u), "/v2/apps/"+u.app(t)+"/settings/"
		c.post(settings, object{"label": object{"team": "x", "n": 1, "deep": object{"a": []any{true, nil}}}}).status(201).
			json(`{"label":{"team":"x","n":1,"deep":{"a":[true,null]}}}`)
		c.post(settings, object{"label": object{"team": nil}}).status(201).json(`{"label":{"n":1}}`)
		c.post(settings, object{"label": object{"not_exist": nil}}).status(422).detail("not_exist does not exist under label")
	}},
	{"POST /v2/apps/<id>/settings/", "autoscale needs its three numbers, null removes", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, settings := p.as(t, u), "/v2/apps/"+u.app(t)+"/settings/"
		c.post(settings, object{"autoscale": object{"web": object{"min": 1, "max": 2, "cpu_percent": 40}}}).status(201).
			json(`{"autoscale":{"web":{"min":1,"max":2,"cpu_percent":40}}}`)
		c.post(settings, object{"autoscale": object{"web": object{"min": 1}}}).refusesLike("autoscale", `^could not validate .*is a required property`)
		c.post(settings, object{"autoscale": object{"ghost": nil}}).status(422).detail("ghost does not exist under autoscale")
		c.post(settings, object{"autoscale": object{"web": nil}}).status(201).json(`{"autoscale":{}}`)
	}},
	{"POST /v2/apps/<id>/settings/", "each bad value has its message, and nothing is written", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, settings := p.as(t, u), "/v2/apps/"+u.app(t)+"/settings/"
		c.post(settings, object{"maintenance": "test"}).refuses("maintenance", `"test" is not a valid boolean.`)
		c.post(settings, object{"whitelist": []string{"bogus"}}).refuses("whitelist", "The address bogus is not valid")
		c.post(settings, object{"whitelist": []string{}}).refuses("whitelist", "This list may not be empty.")
		c.get(settings).json(`{"maintenance":false,"whitelist":[]}`)
	}},
	{"POST /v2/apps/<id>/settings/", "a whitelist replaces the one before", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, settings := p.as(t, u), "/v2/apps/"+u.app(t)+"/settings/"
		c.post(settings, object{"whitelist": []string{"1.2.3.4", "10.0.0.5/8", "::1"}}).status(201)
		c.post(settings, object{"whitelist": []string{"5.6.7.8"}}).status(201).json(`{"whitelist":["5.6.7.8"]}`)
	}},
}

var edgeChecks = []check{
	{"GET /v2/apps/<id>/whitelist/", "it is empty at first, never null", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).get("/v2/apps/" + u.app(t) + "/whitelist/").status(200).json(`{"addresses":[]}`)
	}},
	{"POST /v2/apps/<id>/whitelist/", "addresses are added, and the edge refuses others when the answer comes", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c, whitelist := p.as(t, u), "/v2/apps/"+id+"/whitelist/"
		c.post(whitelist, object{"addresses": []string{"1.2.3.4"}}).status(201).json(`{"addresses":["1.2.3.4"]}`)
		p.reaches(t, id, 403)
		var got struct{ Addresses []string }
		c.post(whitelist, object{"addresses": []string{"127.0.0.0/8", "1.2.3.4"}}).status(201).decode(&got)
		if len(got.Addresses) != 2 {
			t.Errorf("got %v", got.Addresses)
		}
		p.reaches(t, id, 200)
		c.get("/v2/apps/" + id + "/releases/").json(`{"count":2}`)
	}},
	{"POST /v2/apps/<id>/whitelist/", "what is there already is a 409, what is no address a 400", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, whitelist := p.as(t, u), "/v2/apps/"+u.app(t)+"/whitelist/"
		c.post(whitelist, object{"addresses": []string{"1.2.3.4"}}).status(201)
		c.post(whitelist, object{"addresses": []string{"1.2.3.4"}}).status(409).detail(u.name + " changed nothing")
		c.post(whitelist, object{"addresses": []string{"1.2.3.4.5"}}).refuses("addresses", "The address 1.2.3.4.5 is not valid")
		c.post(whitelist, object{}).refuses("addresses", required)
		c.get(whitelist).json(`{"addresses":["1.2.3.4"]}`)
	}},
	{"DELETE /v2/apps/<id>/whitelist/", "the body's addresses go; others are a 422, a collaborator a 403", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		id := u.deployed(t)
		c, whitelist := p.as(t, u), "/v2/apps/"+id+"/whitelist/"
		c.post("/v2/apps/"+id+"/perms/", object{"username": carol.name}).status(201)
		c.post(whitelist, object{"addresses": []string{"1.2.3.4"}}).status(201)
		c.remove(whitelist, object{"addresses": []string{"9.9.9.9"}}).status(422).detail("addresses {'9.9.9.9'} does not exist in whitelist")
		p.as(t, carol).remove(whitelist, object{"addresses": []string{"1.2.3.4"}}).status(403)
		c.remove(whitelist, object{"addresses": []string{"1.2.3.4"}}).status(204)
		c.get(whitelist).json(`{"addresses":[]}`)
		p.reaches(t, id, 200)
	}},
	{"GET /v2/apps/<id>/tls/", "it is null until somebody chose", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).get("/v2/apps/" + id + "/tls/").status(200).
			json(`{"uuid":"<uuid>","app":"` + id + `","owner":"` + u.name + `","created":"<time>","updated":"<time>","https_enforced":null}`)
	}},
	{"POST /v2/apps/<id>/tls/", "plain HTTP is a 301 to https at the edge when the answer comes", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c, https := p.as(t, u), "/v2/apps/"+id+"/tls/"
		c.post(https, object{"https_enforced": true}).status(201).json(`{"https_enforced":true,"uuid":"<uuid>"}`)
		if to := p.reaches(t, id, 301).Header.Get("Location"); !strings.HasPrefix(to, "https://"+id+".") {
			t.Errorf("it leads to %q", to)
		}
		if got := p.over(t, id+"."+p.domain); got != 200 {
			t.Errorf("https answered %d", got)
		}
		c.post(https, object{"https_enforced": true}).status(409).detail(u.name + " changed nothing")
		c.post(https, object{"https_enforced": false}).status(201).json(`{"https_enforced":false}`)
		p.reaches(t, id, 200)
	}},
	{"POST /v2/apps/<id>/tls/", "what is no boolean is a 400", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, https := p.as(t, u), "/v2/apps/"+u.app(t)+"/tls/"
		c.post(https, object{"https_enforced": "test"}).refuses("https_enforced", `"test" is not a valid boolean.`)
		p.as(t, p.user(t)).post(https, object{"https_enforced": true}).status(403)
	}},
}

var serviceChecks = []check{
	{"GET /v2/apps/<id>/services/", "it is an array, the newest first", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, services := p.as(t, u), "/v2/apps/"+u.app(t)+"/services/"
		c.get(services).status(200).json(`{"services":[]}`)
		c.post(services, object{"procfile_type": "hooks", "path_pattern": "/notify,~ ^/users/[0-9]+/hook"}).status(201)
		c.get(services).status(200).json(`{"services":[{"procfile_type":"hooks","path_pattern":"/notify,~ ^/users/[0-9]+/hook"}]}`)
	}},
	{"POST /v2/apps/<id>/services/", "it is 201, and 204 when nothing changed; what is no expression a 400", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, services := p.as(t, u), "/v2/apps/"+u.app(t)+"/services/"
		c.post(services, object{"procfile_type": "hooks", "path_pattern": "/a"}).status(201).empty()
		c.post(services, object{"procfile_type": "hooks", "path_pattern": "/a"}).status(204)
		c.post(services, object{"procfile_type": "hooks", "path_pattern": "/b"}).status(201).empty()
		c.post(services, object{"procfile_type": "hooks", "path_pattern": "~ ^/("}).
			refuses("path_pattern", "Service value should be valid regex (or set of regex split by comma)")
		c.post(services, object{}).refuses("procfile_type", required).refuses("path_pattern", required)
		p.as(t, p.user(t)).post(services, object{"procfile_type": "hooks", "path_pattern": "/c"}).status(403)
	}},
	{"POST /v2/apps/<id>/services/", "the paths lead to that process type, the others to web", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		u.push(t, id, "web: python3 -u server.py\nhooks: GREETING=Hook python3 -u server.py\n")
		c := p.as(t, u)
		c.post("/v2/apps/"+id+"/services/", object{"procfile_type": "hooks", "path_pattern": "/notify"}).status(201)
		c.post("/v2/apps/"+id+"/scale/", object{"hooks": 1}).status(204)
		for path, want := range map[string]string{"/": "Hello", "/notify": "Hook", "/other": "Hello"} {
			if got := p.says(t, id, path); !strings.HasPrefix(got, want) {
				t.Errorf("%s answered %q, want %s", path, got, want)
			}
		}
	}},
	{"DELETE /v2/apps/<id>/services/", "the one of the body goes, an unknown one is a 404", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, services := p.as(t, u), "/v2/apps/"+u.app(t)+"/services/"
		c.post(services, object{"procfile_type": "hooks", "path_pattern": "/a"}).status(201)
		c.remove(services, object{"procfile_type": "hooks"}).status(204)
		c.remove(services, object{"procfile_type": "hooks"}).status(404)
		c.get(services).json(`{"services":[]}`)
	}},
}
