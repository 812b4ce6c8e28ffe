package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// acts are what users do, each as often as its weight.
var acts = []struct {
	weight int
	do     func(p *person, ctx context.Context)
}{
	{30, (*person).look},
	{12, (*person).configure},
	{10, (*person).label},
	{6, (*person).domain},
	{5, (*person).whitelist},
	{4, (*person).appears},
	{4, (*person).perms},
	{4, (*person).mistakes},
	{3, (*person).own},
	{2, (*person).maintain},
	{2, (*person).scale},
	{1, (*person).restart},
	{1, (*person).run},
	{1, (*person).rollback},
	{1, (*person).relogin},
}

func pick(r *rand.Rand) int {
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	n := r.IntN(sum)
	for i, a := range acts {
		if n -= a.weight; n < 0 {
			return i
		}
	}
	return 0
}

func (p *person) act(ctx context.Context, i int) {
	p.count++
	acts[i].do(p, ctx)
}

// busy is the contract's refusal while a deploy is under way.
const busy = `^\{"detail":"Deployment for soak-\d+-[a-z-]+ is already in progress"\}`

func (p *person) look(ctx context.Context) {
	rooms := []string{"", "config/", "releases/", "builds/", "pods/", "domains/", "settings/", "perms/", "whitelist/", "tls/", "services/", "logs"}
	room := rooms[p.r.IntN(len(rooms))]
	p.want(ctx, "look", "GET", p.path(room), nil, allowed{200, ""})
	p.want(ctx, "list", "GET", "/v2/apps/?limit=10", nil, allowed{200, `^\{"count":\d+,"next":.*"results":\[`})
	p.want(ctx, "whoami", "GET", "/v2/auth/whoami/", nil, allowed{200, p.name})
}

// configure changes this user's own key in the friend's config, where others
// change theirs at the same time.
func (p *person) configure(ctx context.Context) {
	key, value := fmt.Sprintf("SOAK_%d", p.n), fmt.Sprint(p.count)
	code := p.want(ctx, "config", "POST", p.friend.path("config/"), object{"values": object{key: value}}, allowed{201, ""}, allowed{409, busy})
	if code == 201 {
		p.mine[key] = value
	}
}

func (p *person) label(ctx context.Context) {
	key, value := fmt.Sprintf("soak%d", p.n), fmt.Sprint(p.count)
	if p.want(ctx, "label", "POST", p.friend.path("settings/"), object{"label": object{key: value}}, allowed{201, ""}) == 201 {
		p.labels[key] = value
	}
}

// own changes one's own app, at the same time as the one who shares it.
func (p *person) own(ctx context.Context) {
	p.want(ctx, "config", "POST", p.path("config/"), object{"values": object{"OWN": fmt.Sprint(p.count)}}, allowed{201, ""}, allowed{409, busy})
}

func (p *person) domain(ctx context.Context) {
	domain := fmt.Sprintf("d%d-%d.example.com", p.n, p.count)
	p.want(ctx, "domain", "POST", p.path("domains/"), object{"domain": domain}, allowed{201, domain})
	p.want(ctx, "domain", "POST", p.friend.path("domains/"), object{"domain": domain}, allowed{400, "Domain is already in use by another application"})
	p.want(ctx, "domain", "DELETE", p.path("domains/"+domain), nil, allowed{204, "^$"})
}

func (p *person) whitelist(ctx context.Context) {
	body := object{"addresses": []string{fmt.Sprintf("10.0.%d.%d", p.n, p.count%250)}}
	room := p.friend.path("whitelist/")
	p.want(ctx, "whitelist", "POST", room, body, allowed{201, ""})
	p.want(ctx, "whitelist", "DELETE", room, body, allowed{403, "permission"})
	body["addresses"] = body["addresses"].([]string)[:1]
	p.want(ctx, "whitelist", "DELETE", p.path("whitelist/"), object{"addresses": []string{"192.0.2.7"}}, allowed{422, "does not exist in whitelist"})
	var list struct{ Addresses []string }
	if p.read(ctx, p.path("whitelist/"), &list) == nil && len(list.Addresses) > 0 {
		p.want(ctx, "whitelist", "DELETE", p.path("whitelist/"), object{"addresses": list.Addresses}, allowed{204, "^$"})
	}
}

func (p *person) appears(ctx context.Context) {
	id := fmt.Sprintf("brief-%d-%d", p.n, p.count)
	p.want(ctx, "create", "POST", "/v2/apps/", object{"id": id}, allowed{201, id})
	p.want(ctx, "create", "POST", "/v2/apps/", object{"id": id}, allowed{400, "Application with this id already exists."})
	p.want(ctx, "destroy", "DELETE", "/v2/apps/"+id+"/", nil, allowed{204, "^$"})
	p.want(ctx, "look", "GET", "/v2/apps/"+id+"/", nil, allowed{404, `^"No App matches the given query."`})
}

func (p *person) perms(ctx context.Context) {
	other := p.w.people[(p.n+7)%len(p.w.people)].name
	p.want(ctx, "perms", "POST", p.path("perms/"), object{"username": other}, allowed{201, "^$"})
	p.want(ctx, "perms", "DELETE", p.path("perms/"+other), nil, allowed{204, "^$"})
	p.want(ctx, "perms", "POST", p.friend.path("perms/"), object{"username": other}, allowed{403, "permission"})
}

func (p *person) mistakes(ctx context.Context) {
	p.want(ctx, "mistake", "POST", p.path("config/"), object{"values": object{"1X": "y"}}, allowed{400, `^\{"values":\["Config keys must start`})
	p.want(ctx, "mistake", "POST", p.path("config/"), object{"values": object{"NOT_THERE": nil}}, allowed{422, "NOT_THERE does not exist under values"}, allowed{409, busy})
	p.want(ctx, "mistake", "GET", "/v2/apps/nobody-has-this/", nil, allowed{404, "No App matches"})
	p.want(ctx, "mistake", "GET", p.w.people[(p.n+3)%len(p.w.people)].path(""), nil, allowed{403, "permission"}, allowed{200, ""})
	p.want(ctx, "mistake", "POST", "/v2/apps/", object{"id": "Not A Name"}, allowed{400, `^\{"id":\[`})
}

func (p *person) maintain(ctx context.Context) {
	on := p.want(ctx, "settings", "POST", p.path("settings/"), object{"maintenance": true}, allowed{201, `"maintenance":true`})
	if on == 201 {
		p.want(ctx, "settings", "POST", p.path("settings/"), object{"maintenance": true}, allowed{409, "changed nothing"})
		p.want(ctx, "settings", "POST", p.path("settings/"), object{"maintenance": false}, allowed{201, `"maintenance":false`})
	}
}

func (p *person) scale(ctx context.Context) {
	if !p.deployed {
		p.want(ctx, "scale", "POST", p.path("scale/"), object{"web": 1}, allowed{400, "No build associated with this release"})
		return
	}
	p.want(ctx, "scale", "POST", p.path("scale/"), object{"web": 1 + p.r.IntN(2)}, allowed{204, "^$"})
}

func (p *person) restart(ctx context.Context) {
	p.want(ctx, "restart", "POST", p.path("pods/restart/"), nil, allowed{200, `^\[`})
}

func (p *person) run(ctx context.Context) {
	if !p.deployed {
		p.want(ctx, "run", "POST", p.path("run"), object{"command": "true"}, allowed{400, "No build associated"})
		return
	}
	p.want(ctx, "run", "POST", p.path("run"), object{"command": "echo soak"}, allowed{200, `^\{"exit_code":0,"output":"soak\\n"\}`})
}

func (p *person) rollback(ctx context.Context) {
	if !p.deployed {
		p.want(ctx, "rollback", "POST", p.path("releases/rollback/"), object{"version": 1}, allowed{400, "Cannot roll back to initial release."})
		return
	}
	// One that works would take back what others have set, which the count of
	// lost updates could not tell from a loss.
	p.want(ctx, "rollback", "POST", p.path("releases/rollback/"), object{"version": 1}, allowed{400, "Cannot roll back to initial release."})
}

func (p *person) relogin(ctx context.Context) {
	p.want(ctx, "login", "POST", "/v2/auth/login/", object{"username": p.name, "password": "soak soak soak"}, allowed{200, `"token":"[0-9a-f]{40}"`})
}
