package runtime

import "strings"

// Completed is an environment as it was given, with what a process has made of
// it since, as /proc shows it. What is no variable there is left out: some
// write their title over it, as Redis and PostgreSQL do.
func Completed(given, seen []string) []string {
	have := make(map[string]bool, len(seen))
	var all []string
	for _, entry := range seen {
		if key, _, ok := strings.Cut(entry, "="); ok && key != "" && !have[key] {
			have[key] = true
			all = append(all, entry)
		}
	}
	for _, entry := range given {
		if key, _, _ := strings.Cut(entry, "="); !have[key] {
			all = append(all, entry)
		}
	}
	return all
}
