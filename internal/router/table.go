package router

import (
	"hash/maphash"
	"maps"
	"strings"
)

const shards = 256

// table maps hosts to apps. It is immutable; a change copies the 256 pointers
// and the touched shards only, so that its cost hardly grows with the number
// of hosts.
type table struct {
	seed      maphash.Seed
	exact     [shards]map[string]*app
	wildcards [shards]map[string]*app // by what follows the "*": ".example.com"
	wild      int                     // how many wildcards there are
}

func newTable() *table { return &table{seed: maphash.MakeSeed()} }

// lookup finds the app of a normal host, the exact name first, then the
// longest wildcard. Nil when there is none.
func (t *table) lookup(host string) *app {
	if a := t.exact[t.shard(host)][host]; a != nil {
		return a
	}
	if t.wild == 0 {
		return nil
	}
	for at := strings.IndexByte(host, '.'); at >= 0; {
		suffix := host[at:]
		if a := t.wildcards[t.shard(suffix)][suffix]; a != nil && at > 0 {
			return a
		}
		next := strings.IndexByte(suffix[1:], '.')
		if next < 0 {
			return nil
		}
		at += 1 + next
	}
	return nil
}

func (t *table) shard(key string) int {
	return int(maphash.String(t.seed, key) % shards)
}

// draft is a table being changed.
type draft struct {
	table  *table
	copied map[*map[string]*app]bool
}

func (t *table) draft() *draft {
	next := *t
	return &draft{table: &next, copied: map[*map[string]*app]bool{}}
}

// set leads host to a, whoever had it, and returns who that was.
func (d *draft) set(host string, a *app) (was *app) {
	shard, key, wild := d.shardOf(host)
	was = (*shard)[key]
	if was == nil && wild {
		d.table.wild++
	}
	d.own(shard)[key] = a
	return was
}

// drop ends that host leads to a; when it leads elsewhere by now it stays.
func (d *draft) drop(host string, a *app) {
	shard, key, wild := d.shardOf(host)
	if (*shard)[key] != a {
		return
	}
	if wild {
		d.table.wild--
	}
	delete(d.own(shard), key)
}

func (d *draft) shardOf(host string) (shard *map[string]*app, key string, wild bool) {
	if suffix, ok := strings.CutPrefix(host, "*."); ok {
		suffix = "." + suffix
		return &d.table.wildcards[d.table.shard(suffix)], suffix, true
	}
	return &d.table.exact[d.table.shard(host)], host, false
}

func (d *draft) own(shard *map[string]*app) map[string]*app {
	if !d.copied[shard] {
		d.copied[shard] = true
		if *shard = maps.Clone(*shard); *shard == nil {
			*shard = map[string]*app{}
		}
	}
	return *shard
}

// holder is the app that a host of a route leads to now.
func (d *draft) holder(host string) *app {
	shard, key, _ := d.shardOf(host)
	return (*shard)[key]
}
