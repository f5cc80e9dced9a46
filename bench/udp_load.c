/* Keeps WINDOW datagrams in flight to 127.0.0.1:PORT for MILLISECONDS, each from the next of SOURCES addresses
 * of 127.1.0.0/16, all from one socket, and prints: answers, nanoseconds, datagrams without an answer.
 *
 * udp_load PORT SOURCES WINDOW MILLISECONDS */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { MOST = 256, SIZE = 64 };

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct mmsghdr out[MOST], in[MOST];
static struct iovec out_data[MOST], in_data[MOST];
static char payload[SIZE], inbox[MOST][SIZE];
static _Alignas(struct cmsghdr) char source[MOST][CMSG_SPACE(sizeof(struct in_pktinfo))];

static void prepare(struct sockaddr_in *target) {
    for (int i = 0; i < MOST; i++) {
        out_data[i] = (struct iovec){payload, SIZE};
        in_data[i] = (struct iovec){inbox[i], SIZE};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &in_data[i], .msg_iovlen = 1};
        out[i].msg_hdr = (struct msghdr){.msg_name = target, .msg_namelen = sizeof *target,
            .msg_iov = &out_data[i], .msg_iovlen = 1,
            .msg_control = source[i], .msg_controllen = sizeof source[i]};
        struct cmsghdr *control = CMSG_FIRSTHDR(&out[i].msg_hdr);
        control->cmsg_level = IPPROTO_IP;
        control->cmsg_type = IP_PKTINFO; /* ip(7): on sending, ipi_spec_dst is the source address */
        control->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    }
}

static int send_some(int sock, int count, int sources) {
    static unsigned next;
    for (int i = 0; i < count; i++) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(CMSG_FIRSTHDR(&out[i].msg_hdr));
        info->ipi_spec_dst.s_addr = htonl(0x7f010001 + next++ % sources);
    }
    int sent = sendmmsg(sock, out, count, 0);
    if (sent < 0) perror("sendmmsg"), exit(1);
    return sent;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_aton("127.0.0.1", &target.sin_addr);
    int sources = atoi(argv[2]), window = atoi(argv[3]);
    if (window > MOST) return 2;
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct timeval patience = {.tv_usec = 20000};
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* Answers come to as many addresses, so the socket is bound to none; to the loopback interface instead. */
    if (setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2)) return perror("bind to lo"), 1;
    prepare(&target);
    long long began = now(), end = began + atoi(argv[4]) * 1000000LL, answers = 0, lost = 0;
    int flying = send_some(sock, window, sources);
    while (now() < end) {
        int got = recvmmsg(sock, in, window, MSG_WAITFORONE, NULL);
        if (got < 0 && errno != EAGAIN) return perror("recvmmsg"), 1;
        if (got < 0) lost += flying, flying = got = 0;
        answers += got, flying -= got;
        flying += send_some(sock, window - flying > 0 ? window - flying : 0, sources);
    }
    printf("%lld %lld %lld\n", answers, now() - began, lost);
}
