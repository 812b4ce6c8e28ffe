package contract_test

import "testing"

const (
	badProcess = "Process types can only contain lowercase alphanumeric characters"
	badMemory  = "Memory limit format: <number><unit> or <number><unit>/<number><unit>, where unit = B, K, M or G"
	badCPU     = "CPU limit format: <value> or <value>/<value>, where value must be a numeric"
	badTagKey  = `Tag keys must be alphanumeric or "-_.", and 1-63 characters.`
	badTag     = `Tag values must be alphanumeric or "-_.", and 1-63 characters.`
	badKey     = "Config keys must start with a letter or underscore and only contain [A-z0-9_]"
)

var configChecks = []check{
	{"GET /v2/apps/<id>/config/", "it is the config of the latest release that did not fail", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).get("/v2/apps/" + id + "/config/").status(200).json(`{"uuid":"<uuid>","app":"` + id + `","owner":"` + u.name + `","values":{},"memory":{},
			"cpu":{},"tags":{},"registry":{},"healthcheck":{},"lifecycle_post_start":{},"lifecycle_pre_stop":{},"termination_grace_period":{},
			"created":"<time>","updated":"<time>"}`)
		p.as(t, p.user(t)).get("/v2/apps/" + id + "/config/").status(403)
		p.as(t, u).get("/v2/apps/" + unique("no") + "/config/").missing("App")
	}},
	{"POST /v2/apps/<id>/config/", "given keys are set, null removes, others stay, and all are strings", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, config := p.configOf(t, u)
		c.post(config, object{"values": object{"A": 2, "B": true, "C": 1.5, "D": "null", "E": "two\nlines ü", "F": ""}}).status(201).
			json(`{"uuid":"<uuid>","owner":"` + u.name + `","values":{"A":"2","B":"True","C":"1.5","D":"null","E":"two\nlines ü","F":""}}`)
		c.post(config, object{"values": object{"A": nil, "G": "7"}, "memory": object{"web": "128M"}, "cpu": object{"web": "500m"}}).status(201).
			json(`{"values":{"B":"True","G":"7"},"memory":{"web":"128M"},"cpu":{"web":"500m"}}`)
		var got struct{ Values map[string]string }
		c.get(config).decode(&got)
		if _, there := got.Values["A"]; there || len(got.Values) != 6 {
			t.Errorf("the values are %v", got.Values)
		}
		c.post(config, object{"values": `{"H":"8"}`}).status(201).json(`{"values":{"H":"8"}}`)
	}},
	{"POST /v2/apps/<id>/config/", "each change is a release with its words", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, config := p.configOf(t, u)
		for i, step := range []struct {
			body    object
			summary string
		}{
			{object{"values": object{"B": "1", "A": "1"}}, "added A, B"},
			{object{"values": object{"A": "2", "B": nil, "PORT": "5000"}}, "added PORT, changed A, deleted B"},
			{object{"memory": object{"web": "1G"}, "cpu": object{"web": "1"}}, "changed limits for memory, cpu"},
			{object{"registry": object{"username": "bob", "password": "hidden"}}, "added registry info password, username"},
			{object{"healthcheck": object{"web/cmd": object{"livenessProbe": object{"tcpSocket": object{"port": 5000}}}}}, "added healthcheck info for proc type web/cmd"},
			{object{"termination_grace_period": object{"web": "5"}}, "changed timeouts for termination_grace_period"},
		} {
			c.post(config, step.body).status(201)
			var list struct{ Results []struct{ Summary string } }
			c.get(config + "../releases/").status(404) // no path is ever cleaned into another
			c.get(releasesOf(config)).status(200).decode(&list)
			if len(list.Results) != i+2 || list.Results[0].Summary != u.name+" "+step.summary {
				t.Errorf("the %d releases begin with %q, want %q", len(list.Results), list.Results[0].Summary, step.summary)
			}
		}
	}},
	{"POST /v2/apps/<id>/config/", "nothing changed is a 409, and removing nothing a 422", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, config := p.configOf(t, u)
		c.post(config, object{"values": object{"A": "1"}}).status(201)
		for _, body := range []any{nil, object{}, object{"values": object{"A": "1"}}, object{"values": object{}}} {
			c.post(config, body).status(409).detail(u.name + " changed nothing - release stopped")
		}
		for _, room := range []string{"values", "memory", "cpu", "tags", "registry", "healthcheck", "termination_grace_period"} {
			c.post(config, object{room: object{"missing": nil}}).status(422).detail("missing does not exist under " + room)
		}
		c.get(releasesOf(config)).json(`{"count":2}`)
	}},
	{"POST /v2/apps/<id>/config/", "each bad value has its message, and nothing is written", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, config := p.configOf(t, u)
		for _, bad := range []struct {
			room, key string
			value     any
			message   string
		}{
			{"values", "2A", "x", badKey},
			{"values", "A-B", "x", badKey},
			{"values", "PORT", "x", "PORT can only be a numeric value"},
			{"values", "PORT", "65536", "PORT needs to be between 1 and 65535"},
			{"values", "HEALTHCHECK_TIMEOUT", "x", "HEALTHCHECK_TIMEOUT can only be a numeric value"},
			{"memory", "web", "1X", badMemory},
			{"memory", "Web", "1G", badProcess},
			{"cpu", "web", "x", badCPU},
			{"cpu", "web", "-1", badCPU},
			{"cpu", "we b", "1", badProcess},
			{"tags", "-x", "dev", badTagKey},
			{"tags", "environ", "no good", badTag},
			{"termination_grace_period", "web", "x", "Termination Grace Period format: <value>, where value must be a numeric"},
			{"healthcheck", "web", object{"otherProbe": object{}}, "Healthcheck keys must be either livenessProbe or readinessProbe"},
		} {
			c.post(config, object{bad.room: object{bad.key: bad.value}}).refuses(bad.room, bad.message)
		}
		c.post(config, object{"values": nil}).refuses("values", null)
		c.post(config, object{"healthcheck": object{"web": object{"livenessProbe": object{"httpGet": object{"path": "/"}}}}}).
			refusesLike("healthcheck", `^could not validate .*port.* is a required property`)
		c.post(config, object{"healthcheck": object{"web": object{"livenessProbe": object{"successThreshold": 2, "tcpSocket": object{"port": 1}}}}}).
			refuses("healthcheck", "livenessProbe successThreshold can only be 1")
		c.get(releasesOf(config)).json(`{"count":1}`)
	}},
	{"POST /v2/apps/<id>/config/", "tags must fit a node, and a private registry needs PORT", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, config := p.configOf(t, u)
		c.post(config, object{"tags": object{"no": "match"}}).status(400).detailLike(`^No nodes matched the provided labels: no=match`)
		c.post(config, object{"registry": object{"username": "bob", "password": "p"}}).status(400).
			detail("PORT needs to be set in the config when using a private registry")
		c.get(releasesOf(config)).json(`{"count":1}`)
	}},
	{"POST /v2/apps/<id>/config/", "a health check comes back as it was given, and the old form becomes one", func(t *testing.T, p *platform) {
		u := p.user(t)
		c, config := p.configOf(t, u)
		c.post(config, object{"healthcheck": object{"worker": object{"readinessProbe": object{"exec": object{"command": []string{"/bin/true"}}, "periodSeconds": 10}}}}).
			status(201).json(`{"healthcheck":{"worker":{"readinessProbe":{"exec":{"command":["/bin/true"]},"periodSeconds":10}}}}`)
		a := c.post(config, object{"values": object{"HEALTHCHECK_URL": "/healthz", "HEALTHCHECK_TIMEOUT": "3", "PORT": "5000"}}).status(201).
			json(`{"values":{"PORT":"5000"},"healthcheck":{"web/cmd":{"livenessProbe":{"httpGet":{"path":"/healthz"},"timeoutSeconds":3},
				"readinessProbe":{"httpGet":{"path":"/healthz"}}}}}`)
		var got struct{ Values map[string]string }
		if a.decode(&got); len(got.Values) != 1 {
			a.fail("HEALTHCHECK_* is still a value")
		}
		c.post(config, object{"healthcheck": object{"worker": nil}}).status(201)
	}},
	{"POST /v2/apps/<id>/config/", "a deployed app runs it when the answer comes, and one that breaks it keeps the old one", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		c, config := p.as(t, u), "/v2/apps/"+id+"/config/"
		c.post(config, object{"values": object{"GREETING": "Howdy"}}).status(201)
		c.get("/v2/apps/" + id + "/pods/").json(`{"count":1,"results":[{"state":"up","release":"v3"}]}`)
		p.reaches(t, id, 200)
		c.post(config, object{"values": object{"PYTHONHOME": "/nowhere"}}).status(400).detailLike(`^\(app::deploy\): `)
		c.get("/v2/apps/" + id + "/releases/v4/").json(`{"failed":true,"summary":"` + u.name + ` deployed a config that failed"}`)
		c.get(config).json(`{"values":{"GREETING":"Howdy"}}`)
		p.reaches(t, id, 200)
	}},
	{"POST /v2/apps/<id>/config/", "a collaborator may, and owns what he changed", func(t *testing.T, p *platform) {
		u, carol := p.user(t), p.user(t)
		c, config := p.configOf(t, u)
		c.post(config[:len(config)-len("config/")]+"perms/", object{"username": carol.name}).status(201)
		p.as(t, carol).post(config, object{"values": object{"A": "1"}}).status(201).json(`{"owner":"` + carol.name + `"}`)
		p.as(t, p.user(t)).post(config, object{"values": object{"A": "2"}}).status(403)
	}},
}

// configOf is a fresh app's config and its owner's client.
func (p *platform) configOf(t *testing.T, u *user) (*client, string) {
	t.Helper()
	return p.as(t, u), "/v2/apps/" + u.app(t) + "/config/"
}

func releasesOf(config string) string { return config[:len(config)-len("config/")] + "releases/" }
