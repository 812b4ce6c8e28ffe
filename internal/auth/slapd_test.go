package auth_test

type directoryServer struct{}

var slapd directoryServer

func (directoryServer) stop() {}
