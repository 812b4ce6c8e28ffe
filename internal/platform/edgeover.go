package platform

import (
	"maps"
	"reflect"
	"slices"
)

// Over is e where its team set something, and defaults where it did not, word
// by word: pages and headers by their names, timeouts each for itself. Networks
// are denied by either. The result is for routers: identity, which says that
// the default compression is not wanted, is not in it.
func (e Edge) Over(defaults Edge) Edge {
	denied := slices.Concat(e.Deny, defaults.Deny)
	over(reflect.ValueOf(&e).Elem(), reflect.ValueOf(defaults))
	slices.Sort(denied)
	if e.Deny = slices.Compact(denied); len(e.Deny) == 0 {
		e.Deny = nil
	}
	if slices.Equal(e.Compress, []string{CodingIdentity}) {
		e.Compress = nil
	}
	return e
}

// over gives what is empty its default. It changes nothing that v shares.
func over(v, defaults reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			over(v.Field(i), defaults.Field(i))
		}
	case empty(v):
		v.Set(defaults)
	case v.Kind() == reflect.Map:
		both := maps.Clone(defaults.Interface().(map[string]string))
		if both == nil {
			return
		}
		maps.Copy(both, v.Interface().(map[string]string))
		v.Set(reflect.ValueOf(both))
	}
}
