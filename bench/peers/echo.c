/* The peer of the echo table: as fast as one core answers datagrams one by one.  echo PORT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))}, from;
    inet_aton("127.0.0.1", &here.sin_addr);
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(sock, (struct sockaddr *)&here, sizeof here)) return 1;
    char data[2048];
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t size = recvfrom(sock, data, sizeof data, 0, (struct sockaddr *)&from, &length);
        if (size >= 0) sendto(sock, data, size, MSG_DONTWAIT, (struct sockaddr *)&from, length);
    }
}
