package dockerfile

// ID is what the names of groups, links and rules of a directory's builds hold.
func ID(dir string) string { return newNetworks(dir).id }
