package contract_test

import (
	"strings"
	"testing"
)

var buildChecks = []check{
	{"GET /v2/apps/<id>/builds/", "it lists what was pushed, the newest first", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		p.as(t, u).get("/v2/apps/" + id + "/builds/").status(200).json(`{"count":0,"next":null,"previous":null,"results":[]}`)
		u.push(t, id, "web: python3 -u server.py\n")
		p.as(t, u).get("/v2/apps/" + id + "/builds/").status(200).json(`{"count":1,"results":[{"owner":"` + u.name + `","app":"` + id + `",
			"image":"<text>","sha":"` + sha + `","procfile":{"web":"python3 -u server.py"},"dockerfile":"","created":"<time>","updated":"<time>","uuid":"<uuid>"}]}`)
		p.as(t, p.user(t)).get("/v2/apps/" + id + "/builds/").status(403)
	}},
	{"GET /v2/apps/<id>/builds/<uuid>/", "it answers that build, not the current one", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		first := u.build(t, id)
		u.push(t, id, "web: python3 -u server.py\nother: sleep 1000\n")
		p.as(t, u).get("/v2/apps/" + id + "/builds/" + first + "/").status(200).
			json(`{"uuid":"` + first + `","procfile":{"web":"python3 -u server.py","worker":"sleep 1000"}}`)
		p.as(t, u).get("/v2/apps/" + id + "/builds/00000000-0000-0000-0000-000000000000/").missing("Build")
	}},
	{"POST /v2/apps/<id>/builds/", "an image of the platform's registry deploys, and the release says so", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.deployed(t)
		var list struct{ Results []struct{ Image string } }
		p.as(t, u).get("/v2/apps/" + id + "/builds/").decode(&list)
		image := list.Results[0].Image
		p.as(t, u).post("/v2/apps/"+id+"/builds/", object{"image": image, "sha": "0123456789", "procfile": object{"web": "python3 -u server.py"}}).
			status(201).json(`{"uuid":"<uuid>","app":"` + id + `","owner":"` + u.name + `","image":"<text>","sha":"0123456789",
			"procfile":{"web":"python3 -u server.py"},"dockerfile":"","created":"<time>","updated":"<time>"}`)
		p.as(t, u).get("/v2/apps/" + id + "/releases/v3/").status(200).json(`{"failed":false,"summary":"` + u.name + ` deployed 0123456"}`)
		p.as(t, u).get("/v2/apps/" + id + "/pods/").json(`{"count":1,"results":[{"state":"up","release":"v3","type":"web"}]}`)
		p.reaches(t, id, 200)
	}},
	{"POST /v2/apps/<id>/builds/", "an image that cannot be had, or reached, is refused in the words of clients", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		c, builds := p.as(t, u), "/v2/apps/"+id+"/builds/"
		c.post(builds, object{"image": "deis/nonexistent:dummy"}).status(400).detail("image deis/nonexistent:dummy not found")
		c.post(builds, object{"image": "nonexistent"}).status(400).detail("image nonexistent:latest not found")
		c.post(builds, object{"image": "private/image:1"}).status(400).detailLike(`^Permission Denied attempting to pull image private/image:1\n`)
		c.post(builds, object{"image": "deis/portless:1"}).status(400).detail("Expose a port or make the app non routable by changing the process type")
		c.get(builds).json(`{"count":0}`)
		c.get("/v2/apps/" + id + "/releases/").json(`{"count":1}`)
		c.get("/v2/apps/" + id + "/").status(200).json(`{"structure":{}}`)
		c.get("/v2/apps/" + id + "/logs").containing("ERROR image deis/nonexistent:dummy not found")
	}},
	{"POST /v2/apps/<id>/builds/", "each bad field has its message, and nothing is written", func(t *testing.T, p *platform) {
		u := p.user(t)
		id := u.app(t)
		c := p.as(t, u)
		builds := "/v2/apps/" + id + "/builds/"
		c.post(builds, object{}).refuses("image", required)
		c.post(builds, object{"image": ""}).refuses("image", blank)
		c.post(builds, object{"image": nil}).refuses("image", null)
		c.post(builds, object{"image": "x", "procfile": object{"Web!": "x"}}).refuses("procfile", "Process types can only contain lowercase alphanumeric characters")
		c.post(builds, object{"image": "x", "procfile": object{"web": ""}}).refuses("procfile", "Command can't be empty for process type")
		c.post(builds, object{"image": "x", "procfile": object{"web": nil}}).refuses("procfile", "Command can't be empty for process type")
		c.post(builds, object{"image": "x", "sha": strings.Repeat("a", 41)}).refuses("sha", "Ensure this field has no more than 40 characters.")
		c.get(builds).json(`{"count":0}`)
		p.as(t, p.user(t)).post(builds, object{"image": "x"}).status(403)
	}},
	{"POST /v2/apps/<id>/builds/", "the platform's own repositories are refused by name", func(t *testing.T, p *platform) {
		u := p.user(t)
		p.as(t, u).post("/v2/apps/"+u.app(t)+"/builds/", object{"image": "deis/router:v2"}).status(400).
			detailLike(`Repository name deis/router is not allowed, as it is reserved by Deis`)
	}},
}

// build is the uuid of the newest build.
func (u *user) build(t *testing.T, app string) string {
	t.Helper()
	var list struct{ Results []struct{ UUID string } }
	u.p.as(t, u).get("/v2/apps/" + app + "/builds/").status(200).decode(&list)
	return list.Results[0].UUID
}
