package contract_test

import "testing"

var releaseChecks = []check{
	{"GET /v2/apps/<id>/releases/", "the newest is first", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, config := p.configOf(t, u)
		c.post(config, object{"values": object{"A": "1"}}).status(201)
		c.get(releasesOf(config)).status(200).json(`{"count":2,"next":null,"previous":null,"results":[
			{"uuid":"<uuid>","app":"<text>","owner":"` + u.name + `","created":"<time>","updated":"<time>","version":2,"summary":"` + u.name + ` added A",
			 "failed":false,"config":"<uuid>","build":null},{"version":1,"build":null}]}`)
		c.get(releasesOf(config) + "?limit=1&offset=1").status(200).json(`{"count":2,"next":null,"previous":"~limit=1$","results":[{"version":1}]}`)
		p.as(t, p.user(t)).get(releasesOf(config)).status(403)
	}},
	{"GET /v2/apps/<id>/releases/v<N>/", "it answers that one, and 404 for one that never was", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).get("/v2/apps/" + id + "/releases/v1/").status(200).json(`{"version":1,"failed":false}`)
		p.as(t, u).get("/v2/apps/" + id + "/releases/v2/").missing("Release")
		p.as(t, u).get("/v2/apps/" + id + "/releases/x/").status(404)
	}},
	{"POST /v2/apps/<id>/releases/rollback/", "it makes a new release of the old one", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c := p.as(t, u)
		c.post("/v2/apps/"+id+"/config/", object{"values": object{"GREETING": "Howdy"}}).status(201)
		c.post("/v2/apps/"+id+"/releases/rollback/", object{"version": 2}).status(201).json(`{"version":4}`)
		c.get("/v2/apps/" + id + "/releases/v4/").json(`{"failed":false,"summary":"` + u.name + ` rolled back to v2","build":"` + u.build(t, id) + `"}`)
		c.get("/v2/apps/" + id + "/config/").json(`{"values":{}}`)
		c.get("/v2/apps/" + id + "/pods/").json(`{"count":1,"results":[{"state":"up","release":"v4"}]}`)
		c.post("/v2/apps/"+id+"/releases/rollback/", nil).status(201).json(`{"version":5}`)
		c.get("/v2/apps/" + id + "/releases/v5/").json(`{"summary":"` + u.name + ` rolled back to v3"}`)
	}},
	{"POST /v2/apps/<id>/releases/rollback/", "each version that cannot be has its words", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c, rollback := p.as(t, u), "/v2/apps/"+id+"/releases/rollback/"
		c.post(rollback, object{"version": -1}).status(400).detail("version cannot be below 0")
		c.post(rollback, object{"version": 1}).status(400).detail("Cannot roll back to initial release.")
		c.post(rollback, nil).status(400).detail("Cannot roll back to initial release.")
		c.post(rollback, object{"version": 99}).status(400).detail("Release matching query does not exist.")
		c.post(rollback, object{"version": "abc"}).status(400).detail("invalid literal for int() with base 10: 'abc'")
		c.post("/v2/apps/"+id+"/config/", object{"values": object{"PYTHONHOME": "/nowhere"}}).status(400)
		c.post(rollback, object{"version": 3}).status(400).detail("Cannot roll back to failed release.")
		fresh := u.app(t)
		c.post("/v2/apps/"+fresh+"/releases/rollback/", nil).status(400).detail("version cannot be below 0")
		p.as(t, p.user(t)).post(rollback, nil).status(403)
	}},
	{"POST /v2/apps/<id>/releases/", "it is not allowed", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).post("/v2/apps/"+u.app(t)+"/releases/", object{}).status(405).detail(`Method "POST" not allowed.`)
	}},
}
