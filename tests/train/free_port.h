#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

namespace mambaseg {

/// A port of this machine that nobody listens on.
inline uint16_t free_port() {
  const int wire = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  bind(wire, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(wire, reinterpret_cast<sockaddr*>(&address), &length);
  close(wire);
  return ntohs(address.sin_port);
}

}  // namespace mambaseg
