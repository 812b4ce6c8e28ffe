package registry

import (
	"net/http"
	"slices"
)

// listTags answers end-8a and end-8b: in the order of their bytes.
func (r *Registry) listTags(w http.ResponseWriter, q *http.Request, p place) error {
	limit, last, err := page(q.URL.Query())
	if err != nil {
		return err
	}
	known, err := names(r.store.repo(p.repo))
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, func(entry string) bool { return entry == "_manifests" || entry == "_layers" || entry == "_uploads" }) {
		return faultf(http.StatusNotFound, "NAME_UNKNOWN", "there is no repository %s: push to it first", p.repo)
	}
	tags, err := r.store.tags(p.repo)
	if err != nil {
		return err
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return last != "" && tag <= last })
	shown := tags[:min(len(tags), limit)]
	if len(shown) > 0 && len(shown) < len(tags) {
		next(w, q, limit, shown[len(shown)-1])
	}
	reply(w, http.StatusOK, map[string]any{"name": p.repo, "tags": append([]string{}, shown...)})
	return nil
}

// listRepositories lists what there is, for who may see all of it.
func (r *Registry) listRepositories(w http.ResponseWriter, q *http.Request) error {
	limit, last, err := page(q.URL.Query())
	if err != nil {
		return err
	}
	var found []string
	for repo, err := range r.store.repositories("") {
		if err != nil {
			return err
		}
		if last == "" || repo > last {
			found = append(found, repo)
		}
	}
	slices.Sort(found)
	shown := found[:min(len(found), limit)]
	if len(shown) > 0 && len(shown) < len(found) {
		next(w, q, limit, shown[len(shown)-1])
	}
	reply(w, http.StatusOK, map[string]any{"repositories": append([]string{}, shown...)})
	return nil
}
